//! The callback thread: it alone calls what the application gave.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender};

use sealroute_session::{Event, PublicationId, SubscriptionId};

use crate::traits::{Capturer, FrameOutlet, MediaFrame, Observer, Renderer};

/// Frames that may wait for the application: four seconds of a call with ten streams.
const MAX_WAITING: usize = 3_000;

pub(crate) enum Callback {
    Event(Event),
    AddCapturer(PublicationId, Box<dyn Capturer>),
    AddRenderer(SubscriptionId, Box<dyn Renderer>),
    Start(PublicationId, FrameOutlet),
    KeyFrameWanted(PublicationId),
    Frame(SubscriptionId, MediaFrame),
}

/// The network thread's end.
pub(crate) struct Callbacks {
    sender: Sender<Callback>,
    waiting: Arc<AtomicUsize>,
}

impl Callbacks {
    pub(crate) fn new(sender: Sender<Callback>, waiting: Arc<AtomicUsize>) -> Self {
        Self { sender, waiting }
    }

    pub(crate) fn tell(&self, callback: Callback) {
        // If nobody listens any more, the application has dropped the client.
        let _ = self.sender.send(callback);
    }

    /// False: the application is slower than the network; its frames go on with a key frame.
    pub(crate) fn frame(&self, subscription: SubscriptionId, frame: MediaFrame) -> bool {
        if self.waiting.load(Ordering::Acquire) >= MAX_WAITING {
            return false;
        }
        self.waiting.fetch_add(1, Ordering::AcqRel);
        self.tell(Callback::Frame(subscription, frame));
        true
    }
}

/// Until the network thread has ended.
pub(crate) fn run(
    callbacks: &Receiver<Callback>,
    observer: &mut dyn Observer,
    waiting: &AtomicUsize,
) {
    let mut capturers: HashMap<PublicationId, Box<dyn Capturer>> = HashMap::new();
    let mut renderers: HashMap<SubscriptionId, Box<dyn Renderer>> = HashMap::new();
    while let Ok(callback) = callbacks.recv() {
        match callback {
            Callback::Event(event) => {
                dispatch(&event, &mut capturers, &mut renderers);
                observer.on_event(&event);
            }
            Callback::AddCapturer(id, capturer) => {
                capturers.insert(id, capturer);
            }
            Callback::AddRenderer(id, renderer) => {
                renderers.insert(id, renderer);
            }
            Callback::Start(id, outlet) => {
                if let Some(capturer) = capturers.get_mut(&id) {
                    capturer.on_start(outlet);
                }
            }
            Callback::KeyFrameWanted(id) => {
                if let Some(capturer) = capturers.get_mut(&id) {
                    capturer.on_key_frame_wanted();
                }
            }
            Callback::Frame(id, frame) => {
                waiting.fetch_sub(1, Ordering::AcqRel);
                if let Some(renderer) = renderers.get_mut(&id) {
                    renderer.on_frame(&frame);
                }
            }
        }
    }
    for capturer in capturers.values_mut() {
        capturer.on_stop();
    }
    for renderer in renderers.values_mut() {
        renderer.on_end();
    }
}

fn dispatch(
    event: &Event,
    capturers: &mut HashMap<PublicationId, Box<dyn Capturer>>,
    renderers: &mut HashMap<SubscriptionId, Box<dyn Renderer>>,
) {
    match event {
        Event::PublicationEnded { publication } => {
            if let Some(mut capturer) = capturers.remove(publication) {
                capturer.on_stop();
            }
        }
        Event::DemandChanged {
            publication,
            is_wanted,
        } => {
            if let Some(capturer) = capturers.get_mut(publication) {
                capturer.on_demand(*is_wanted);
            }
        }
        Event::SubscriptionEnded { subscription } => {
            if let Some(mut renderer) = renderers.remove(subscription) {
                renderer.on_end();
            }
        }
        _ => {}
    }
}
