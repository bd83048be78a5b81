//! Files that play in a loop, at their own pace, as a capturer.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use sealroute_client::{Capturer, Codec, FrameOutlet, MediaFrame, PublishOptions};

use crate::ivf::{self, Film};
use crate::ogg;

/// A key frame that is asked for comes by a jump; not more often than this.
const JUMP_EVERY: Duration = Duration::from_millis(500);

pub(crate) struct Files {
    film: Option<Film>,
    audio: Option<Vec<Vec<u8>>>,
}

impl Files {
    /// Errors: for people.
    pub(crate) fn read(video: Option<&Path>, audio: Option<&Path>) -> Result<Self, String> {
        Ok(Self {
            film: video.map(ivf::read).transpose()?,
            audio: audio.map(ogg::read).transpose()?,
        })
    }

    pub(crate) fn options(&self, name: Option<String>) -> PublishOptions {
        let film = self.film.as_ref();
        PublishOptions {
            name,
            audio: self.audio.is_some(),
            video: film.map(|film| film.codec),
            dimensions: film.map(|film| film.size),
            frame_rate: film.map(|film| film.rate),
        }
    }

    pub(crate) fn capturer(self) -> Box<dyn Capturer> {
        Box::new(FileCapturer {
            files: Arc::new(self),
            state: Arc::new(State::default()),
            is_playing: false,
        })
    }
}

#[derive(Default)]
struct State {
    outlet: Mutex<Option<FrameOutlet>>,
    wants_key_frame: AtomicBool,
    is_over: AtomicBool,
}

struct FileCapturer {
    files: Arc<Files>,
    state: Arc<State>,
    is_playing: bool,
}

impl Capturer for FileCapturer {
    fn on_start(&mut self, outlet: FrameOutlet) {
        if let Ok(mut present) = self.state.outlet.lock() {
            *present = Some(outlet);
        }
        if !std::mem::replace(&mut self.is_playing, true) {
            let (files, state) = (Arc::clone(&self.files), Arc::clone(&self.state));
            std::thread::spawn(move || play(&files, &state));
        }
    }

    fn on_key_frame_wanted(&mut self) {
        self.state.wants_key_frame.store(true, Ordering::Release);
    }

    fn on_stop(&mut self) {
        self.state.is_over.store(true, Ordering::Release);
    }
}

impl Drop for FileCapturer {
    fn drop(&mut self) {
        self.on_stop();
    }
}

fn send(state: &State, frame: MediaFrame) {
    let outlet = state.outlet.lock();
    if let Ok(Some(outlet)) = outlet.as_deref() {
        outlet.send(frame);
    }
}

/// Both kinds on one clock.
fn play(files: &Files, state: &State) {
    let start = Instant::now();
    let mut frames = files.film.as_ref().map(Frames::new);
    let mut packets = 0_u32;
    while !state.is_over.load(Ordering::Acquire) {
        let now = start.elapsed();
        while let Some(audio) = &files.audio
            && now >= Duration::from_millis(20) * packets
        {
            let data = audio[packets as usize % audio.len()].clone();
            let timestamp = packets.wrapping_mul(ogg::SAMPLES);
            send(
                state,
                MediaFrame {
                    codec: Codec::Opus,
                    is_key_frame: true,
                    timestamp,
                    data,
                },
            );
            packets += 1;
        }
        if let Some(frames) = &mut frames {
            while let Some(frame) = frames.next(now, &state.wants_key_frame) {
                send(state, frame);
            }
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

struct Frames<'a> {
    film: &'a Film,
    shown: u32,
    at: usize,
    jumped: Option<Duration>,
}

impl<'a> Frames<'a> {
    fn new(film: &'a Film) -> Self {
        Self {
            film,
            shown: 0,
            at: 0,
            jumped: None,
        }
    }

    fn next(&mut self, now: Duration, wants_key_frame: &AtomicBool) -> Option<MediaFrame> {
        let due = Duration::from_secs_f64(f64::from(self.shown) / self.film.rate);
        if now < due {
            return None;
        }
        let may_jump = self.jumped.is_none_or(|jumped| now >= jumped + JUMP_EVERY);
        if may_jump && wants_key_frame.swap(false, Ordering::AcqRel) {
            self.jumped = Some(now);
            self.jump();
        }
        let (codec, data) = (self.film.codec, self.film.frames[self.at].clone());
        let is_key_frame = ivf::is_key_frame(codec, &data);
        let timestamp = (due.as_micros() * 9 / 100) as u32;
        self.shown += 1;
        self.at = (self.at + 1) % self.film.frames.len();
        Some(MediaFrame {
            codec,
            is_key_frame,
            timestamp,
            data,
        })
    }

    /// To the next key frame; the first frame is one.
    fn jump(&mut self) {
        let is_key_frame = |at: &usize| ivf::is_key_frame(self.film.codec, &self.film.frames[*at]);
        let next = (self.at..self.film.frames.len()).find(is_key_frame);
        self.at = next.unwrap_or(0);
    }
}
