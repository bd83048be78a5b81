//! Frames of one subscription on their way to a program: images are decoded by a thread of their
//! own, audio waits for its device.

use std::sync::Weak;
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::time::{Duration, Instant};

use sealroute_client::{Codec, MediaFrame, Renderer, SessionError};
use sealroute_codecs::Vp8Decoder;

use crate::device;
use crate::subscriber::Subscriber;

/// Encoded ones that may wait for a slow program: two seconds.
const MAX_WAITING: usize = 60;
/// A key frame is asked for once in so long.
const ASK_EVERY: Duration = Duration::from_millis(500);

/// Between the client and a subscriber.
pub(crate) struct Receiving {
    subscriber: Weak<Subscriber>,
    images: Option<SyncSender<MediaFrame>>,
    is_behind: bool,
    has_complained: bool,
}

impl Receiving {
    pub(crate) fn new(subscriber: Weak<Subscriber>) -> Self {
        Self {
            subscriber,
            images: None,
            is_behind: false,
            has_complained: false,
        }
    }

    fn on_image(&mut self, frame: &MediaFrame) {
        self.is_behind &= !frame.is_key_frame;
        if self.is_behind {
            return;
        }
        if self.images.is_none() {
            self.images = begin(self.subscriber.clone());
        }
        let sent = self
            .images
            .as_ref()
            .map(|images| images.try_send(frame.clone()));
        if let Some(Err(TrySendError::Full(_))) = sent {
            self.is_behind = true;
            if let Some(subscriber) = self.subscriber.upgrade() {
                subscriber.request_key_frame();
            }
        }
    }
}

impl Renderer for Receiving {
    fn on_frame(&mut self, frame: &MediaFrame) {
        match frame.codec {
            Codec::Opus => {
                if let Some(subscriber) = self.subscriber.upgrade() {
                    device::render(subscriber.key(), frame.timestamp, &frame.data);
                }
            }
            Codec::Vp8 => self.on_image(frame),
            _ if std::mem::replace(&mut self.has_complained, true) => {}
            _ => {
                if let Some(subscriber) = self.subscriber.upgrade() {
                    subscriber.on_error(&SessionError::InvalidParameter(
                        "The stream comes in a codec that this library does not decode",
                    ));
                }
            }
        }
    }

    fn on_end(&mut self) {
        self.images = None;
        if let Some(subscriber) = self.subscriber.upgrade() {
            device::stop_render_of(subscriber.key());
        }
    }
}

fn begin(subscriber: Weak<Subscriber>) -> Option<SyncSender<MediaFrame>> {
    let (sender, frames) = mpsc::sync_channel(MAX_WAITING);
    let named = std::thread::Builder::new().name("sealroute-decoder".into());
    let spawned = named.spawn(move || run(&frames, &subscriber));
    spawned.is_ok().then_some(sender)
}

fn run(frames: &Receiver<MediaFrame>, subscriber: &Weak<Subscriber>) {
    let Ok(mut decoder) = Vp8Decoder::new() else {
        crate::log::error("There is no decoder");
        return;
    };
    let (mut needs_key_frame, mut asked) = (true, None::<Instant>);
    while let Ok(frame) = frames.recv() {
        let Some(subscriber) = subscriber.upgrade() else {
            return;
        };
        if needs_key_frame && !frame.is_key_frame {
            continue;
        }
        let decoded = decoder.decode(&frame.data);
        needs_key_frame = decoded.is_err();
        if let Ok(Some(image)) = decoded {
            subscriber.on_image(&image);
        }
        if needs_key_frame && asked.is_none_or(|asked| asked.elapsed() >= ASK_EVERY) {
            asked = Some(Instant::now());
            subscriber.request_key_frame();
        }
    }
}
