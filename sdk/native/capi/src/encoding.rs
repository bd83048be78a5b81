//! Images of one publisher on their way to its stream: a thread of its own encodes them.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use sealroute_client::{Codec, FrameOutlet, MediaFrame};
use sealroute_codecs::{Image, Vp8Encoder};

/// Raw ones that may wait; the oldest is left out for one more.
const MAX_WAITING: usize = 2;
/// Of 90 kHz.
const TICKS_PER_MS: i64 = 90;
/// What an image of so many pixels gets at 30 a second: 1 Mbit/s for 640x480.
const PIXELS_PER_KBPS: u32 = 300;
const RATES_KBPS: std::ops::RangeInclusive<u32> = 150..=2_500;

#[derive(Default)]
struct Waiting {
    images: VecDeque<(Image, i64)>,
    outlet: Option<FrameOutlet>,
    wants_key_frame: bool,
    is_begun: bool,
    is_over: bool,
}

#[derive(Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Of one publisher. Ends with it.
pub(crate) struct Encoding {
    shared: Arc<Shared>,
    start: Instant,
}

impl Encoding {
    pub(crate) fn new() -> Self {
        Self {
            shared: Arc::default(),
            start: Instant::now(),
        }
    }

    /// The stream is there, for the first time or again.
    pub(crate) fn open(&self, outlet: FrameOutlet) {
        let mut waiting = self.shared.lock();
        waiting.outlet = Some(outlet);
        waiting.wants_key_frame = true;
    }

    pub(crate) fn close(&self) {
        let mut waiting = self.shared.lock();
        waiting.outlet = None;
        waiting.images.clear();
    }

    pub(crate) fn want_key_frame(&self) {
        self.shared.lock().wants_key_frame = true;
    }

    /// Never waits. Without a stream nothing is encoded.
    pub(crate) fn push(&self, image: Image) {
        let time = self.start.elapsed().as_millis() as i64 * TICKS_PER_MS;
        let mut waiting = self.shared.lock();
        if waiting.outlet.is_none() {
            return;
        }
        if waiting.images.len() >= MAX_WAITING {
            waiting.images.pop_front();
        }
        waiting.images.push_back((image, time));
        if !std::mem::replace(&mut waiting.is_begun, true) {
            let shared = Arc::clone(&self.shared);
            let named = std::thread::Builder::new().name("sealroute-encoder".into());
            waiting.is_begun = named.spawn(move || run(&shared)).is_ok();
        }
        self.shared.changed.notify_one();
    }
}

impl Drop for Encoding {
    fn drop(&mut self) {
        self.shared.lock().is_over = true;
        self.shared.changed.notify_one();
    }
}

struct Work {
    image: Image,
    time: i64,
    outlet: FrameOutlet,
    wants_key_frame: bool,
}

/// None: it is over.
fn next(shared: &Shared) -> Option<Work> {
    let mut waiting = shared.lock();
    loop {
        if waiting.is_over {
            return None;
        }
        if let Some(outlet) = waiting.outlet.clone()
            && let Some((image, time)) = waiting.images.pop_front()
        {
            let wants_key_frame = std::mem::take(&mut waiting.wants_key_frame);
            return Some(Work {
                image,
                time,
                outlet,
                wants_key_frame,
            });
        }
        waiting = shared
            .changed
            .wait(waiting)
            .unwrap_or_else(PoisonError::into_inner);
    }
}

fn run(shared: &Shared) {
    let mut encoder: Option<Vp8Encoder> = None;
    while let Some(work) = next(shared) {
        if !encode(&mut encoder, &work) {
            // What was encoded did not leave, and the next one refers to it.
            shared.lock().wants_key_frame = true;
        }
    }
}

/// False: the next one has to be a key frame.
fn encode(encoder: &mut Option<Vp8Encoder>, work: &Work) -> bool {
    let size = (work.image.width(), work.image.height());
    if encoder.as_ref().is_none_or(|known| known.size() != size) {
        let kbps =
            (size.0 * size.1 / PIXELS_PER_KBPS).clamp(*RATES_KBPS.start(), *RATES_KBPS.end());
        *encoder = Vp8Encoder::new(size.0, size.1, kbps).ok();
    }
    let Some(present) = encoder else {
        crate::log::error("There is no encoder for images of this size");
        return false;
    };
    match present.encode(&work.image, work.time, work.wants_key_frame) {
        Ok(Some(encoded)) => work.outlet.send(MediaFrame {
            codec: Codec::Vp8,
            is_key_frame: encoded.is_key_frame,
            timestamp: work.time as u32,
            data: encoded.data,
        }),
        Ok(None) => true,
        Err(error) => {
            crate::log::error(&error.to_string());
            *encoder = None;
            false
        }
    }
}
