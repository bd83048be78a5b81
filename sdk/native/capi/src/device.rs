//! The one audio device of a program, which its own functions make: started when there is somebody
//! to hear, from a thread of its own.

use std::collections::HashMap;
use std::ffi::c_int;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, mpsc};

use sealroute_client::{FrameOutlet, SessionError};

use crate::audio::{Capture, Mixer};
use crate::callbacks::{DeviceCallbacks, DeviceSettings};
use crate::dispatcher::Dispatcher;
use crate::gate::{self, Gate};
use crate::handles::Handle;

/// What a device is told that it is: it is no object of this library.
const DEVICE: usize = 1 << 4;
const USUAL: DeviceSettings = DeviceSettings {
    rate: 48_000,
    channels: 1,
};

struct Device {
    callbacks: DeviceCallbacks,
    gate: Gate,
    is_ready: AtomicBool,
    is_capturing: AtomicBool,
    is_rendering: AtomicBool,
}

#[derive(Default)]
struct Audio {
    device: Option<Arc<Device>>,
    /// Of publishers.
    outlets: HashMap<usize, FrameOutlet>,
    /// Subscribers that are to be heard.
    voices: std::collections::HashSet<usize>,
    capture: Option<Capture>,
    /// Channels of what is captured.
    channels: usize,
    mixer: Option<Mixer>,
}

static AUDIO: LazyLock<Mutex<Audio>> = LazyLock::new(Mutex::default);
static THREAD: Dispatcher = Dispatcher::new();

fn audio() -> MutexGuard<'static, Audio> {
    AUDIO.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn is_set() -> bool {
    audio().device.is_some()
}

/// None: from now on none. What the one before was told has ended when this returns.
pub(crate) fn set(callbacks: Option<DeviceCallbacks>) {
    let device = callbacks.map(|callbacks| {
        Arc::new(Device {
            callbacks,
            gate: Gate::new(),
            is_ready: AtomicBool::new(false),
            is_capturing: AtomicBool::new(false),
            is_rendering: AtomicBool::new(false),
        })
    });
    let before = std::mem::replace(&mut audio().device, device);
    if let Some(before) = before {
        let (done, is_done) = mpsc::channel();
        let ended = Arc::clone(&before);
        THREAD.ask(move || {
            ended.follow(false, false);
            ended.destroy();
            let _ = done.send(());
        });
        if !gate::is_calling() {
            let _ = is_done.recv();
        }
        before.gate.close();
    }
    THREAD.ask(follow);
}

pub(crate) fn capture_for(key: usize, outlet: FrameOutlet) {
    audio().outlets.insert(key, outlet);
    THREAD.ask(follow);
}

pub(crate) fn stop_capture_for(key: usize) {
    if audio().outlets.remove(&key).is_some() {
        THREAD.ask(follow);
    }
}

/// A packet of a subscriber.
pub(crate) fn render(key: usize, timestamp: u32, packet: &[u8]) {
    let mut audio = audio();
    if let Some(mixer) = &mut audio.mixer {
        mixer.push(key, timestamp, packet);
    }
    if audio.voices.insert(key) {
        drop(audio);
        THREAD.ask(follow);
    }
}

pub(crate) fn stop_render_of(key: usize) {
    let mut audio = audio();
    if let Some(mixer) = &mut audio.mixer {
        mixer.remove(key);
    }
    if audio.voices.remove(&key) {
        drop(audio);
        THREAD.ask(follow);
    }
}

/// What nobody publishes is dropped.
pub(crate) fn write(samples: &[i16]) {
    let mut audio = audio();
    let Some(capture) = &mut audio.capture else {
        return;
    };
    for frame in capture.push(samples) {
        for outlet in audio.outlets.values() {
            // What does not fit is lost, as on any path.
            let _ = outlet.send(frame.clone());
        }
    }
}

pub(crate) fn capture_channels() -> usize {
    audio().channels.max(1)
}

pub(crate) fn render_channels() -> usize {
    audio().mixer.as_ref().map_or(1, Mixer::channels)
}

pub(crate) fn read(out: &mut [i16]) {
    match &mut audio().mixer {
        Some(mixer) => mixer.read(out),
        None => out.fill(0),
    }
}

/// The device does what is wanted now.
fn follow() {
    let (device, captures, renders) = {
        let audio = audio();
        let (captures, renders) = (!audio.outlets.is_empty(), !audio.voices.is_empty());
        (audio.device.clone(), captures, renders)
    };
    if let Some(device) = device {
        device.follow(captures, renders);
    }
}

fn checked(settings: DeviceSettings) -> Option<(u32, u8)> {
    let rate = u32::try_from(settings.rate).ok()?;
    Some((rate, u8::try_from(settings.channels).ok()?))
}

fn unusable() -> SessionError {
    SessionError::InvalidParameter("The audio device has a rate that this library has not")
}

impl Device {
    /// On the thread of audio alone.
    fn follow(&self, captures: bool, renders: bool) {
        let Some(_entered) = self.gate.enter() else {
            return;
        };
        let own = DEVICE as Handle;
        if (captures || renders) && !self.is_ready.swap(true, Ordering::AcqRel) {
            self.callbacks.init(own);
        }
        if self.is_capturing.swap(captures, Ordering::AcqRel) != captures {
            if captures {
                self.start_capture(own);
            } else {
                audio().capture = None;
                self.callbacks.stop_capturer(own);
                self.callbacks.destroy_capturer(own);
            }
        }
        if self.is_rendering.swap(renders, Ordering::AcqRel) != renders {
            if renders {
                self.start_render(own);
            } else {
                audio().mixer = None;
                self.callbacks.stop_renderer(own);
                self.callbacks.destroy_renderer(own);
            }
        }
    }

    fn start_capture(&self, own: Handle) {
        let mut settings = USUAL;
        self.callbacks.get_capture_settings(own, &raw mut settings);
        let made = checked(settings).and_then(|(rate, channels)| Capture::new(rate, channels).ok());
        if made.is_none() {
            crate::log::error(&unusable().to_string());
            return;
        }
        {
            let mut audio = audio();
            audio.capture = made;
            audio.channels = usize::try_from(settings.channels).unwrap_or(1);
        }
        self.began(&[
            self.callbacks.init_capturer(own),
            self.callbacks.start_capturer(own),
        ]);
    }

    fn start_render(&self, own: Handle) {
        let mut settings = USUAL;
        self.callbacks.get_render_settings(own, &raw mut settings);
        let made = checked(settings).and_then(|(rate, channels)| Mixer::new(rate, channels).ok());
        if made.is_none() {
            crate::log::error(&unusable().to_string());
            return;
        }
        audio().mixer = made;
        self.began(&[
            self.callbacks.init_renderer(own),
            self.callbacks.start_renderer(own),
        ]);
    }

    #[allow(clippy::unused_self)]
    fn began(&self, answers: &[Option<c_int>]) {
        if answers.contains(&Some(0)) {
            crate::log::error("The audio device cannot start");
        }
    }

    fn destroy(&self) {
        if self.is_ready.swap(false, Ordering::AcqRel)
            && let Some(_entered) = self.gate.enter()
        {
            self.callbacks.destroy(DEVICE as Handle);
        }
    }
}
