//! What an application gives a client. All of it is called from one thread of its own, in the order
//! in which things happen; what is slow there delays no media but the application's own.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sealroute_e2ee::Codec;
use sealroute_session::{Event, PublicationId};

use crate::command::{Command, Commands};

/// Frames of one publication that may wait for the network: two seconds.
const MAX_WAITING: usize = 160;

/// An encoded frame, on its way in or out.
#[derive(Clone, PartialEq, Eq)]
pub struct MediaFrame {
    /// What it is encoded with.
    pub codec: Codec,
    /// Decoding may begin with it. Of audio: always.
    pub is_key_frame: bool,
    /// 48 kHz of audio, 90 kHz of video, from any start.
    pub timestamp: u32,
    /// As its encoder made it.
    pub data: Vec<u8>,
}

impl fmt::Debug for MediaFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MediaFrame({:?}, {} bytes)", self.codec, self.data.len())
    }
}

/// Is told what happens.
pub trait Observer: Send {
    /// In order.
    fn on_event(&mut self, event: &Event);
}

/// Makes the frames of one publication.
pub trait Capturer: Send {
    /// Media can flow, for the first time or again: frames may be given to the outlet from now on,
    /// from any thread.
    fn on_start(&mut self, outlet: FrameOutlet);
    /// Somebody cannot decode without a key frame: the encoder makes one, soon.
    fn on_key_frame_wanted(&mut self) {}
    /// Nobody watches the video, or somebody does again.
    fn on_demand(&mut self, _is_wanted: bool) {}
    /// It is over.
    fn on_stop(&mut self) {}
}

/// Takes the frames of one subscription. Video begins with a key frame, and goes on with one after
/// each gap.
pub trait Renderer: Send {
    /// Opened, in the order in which they were sent.
    fn on_frame(&mut self, frame: &MediaFrame);
    /// It is over.
    fn on_end(&mut self) {}
}

/// Where a capturer's frames go.
#[derive(Clone)]
pub struct FrameOutlet {
    pub(crate) publication: PublicationId,
    pub(crate) commands: Commands,
    pub(crate) waiting: Arc<AtomicUsize>,
}

impl FrameOutlet {
    /// Never waits. False: it was dropped, since the network is slower than the encoder, or the
    /// client has ended; the next frame of video should be a key frame.
    pub fn send(&self, frame: MediaFrame) -> bool {
        if self.waiting.fetch_add(1, Ordering::AcqRel) >= MAX_WAITING {
            self.waiting.fetch_sub(1, Ordering::AcqRel);
            return false;
        }
        let (publication, waiting) = (self.publication, Arc::clone(&self.waiting));
        self.commands.send(Command::Frame {
            publication,
            frame,
            waiting,
        })
    }
}

impl fmt::Debug for FrameOutlet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FrameOutlet({:?})", self.publication)
    }
}
