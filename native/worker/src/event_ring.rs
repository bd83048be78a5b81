//! Events on their way to the control plane: bounded, with an eventfd that says when some wait.

use std::collections::VecDeque;
use std::io;
use std::os::fd::RawFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

use sealroute_forward::{PublisherHandle, SubscriberHandle, TransportHandle, VideoSupply};

use crate::socket::Wakeup;

/// What the worker reports upward; names and order of the fields are those of `sfu.events`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The first connectivity check with the right password arrived.
    IceValidated {
        /// Whose.
        transport: TransportHandle,
    },
    /// A DTLS record from the validated address.
    DtlsDatagram {
        /// Whose.
        transport: TransportHandle,
        /// As received.
        datagram: Vec<u8>,
    },
    /// No valid check for the consent time (RFC 7675).
    ConsentExpired {
        /// Whose.
        transport: TransportHandle,
    },
    /// The first packet of a source was accepted.
    SourceActive {
        /// Whose.
        publisher: PublisherHandle,
        /// Which m-line of the uplink.
        mid: String,
        /// Which simulcast version.
        rid: Option<String>,
    },
    /// Another publisher is the one who speaks.
    DominantSpeaker {
        /// Who.
        publisher: PublisherHandle,
    },
    /// What a subscriber's link carries of its video has changed.
    VideoSupply {
        /// Whose.
        subscriber: SubscriberHandle,
        /// The new state.
        supply: VideoSupply,
    },
    /// Other encodings of a video than before are worth sending.
    VideoDemand {
        /// Whose.
        publisher: PublisherHandle,
        /// Which m-line of the uplink.
        mid: String,
        /// RIDs; `None` is the only encoding of a video without them. Empty: nobody watches.
        wanted: Vec<Option<String>>,
    },
    /// The seal guard dropped packets of a source.
    NotEncrypted {
        /// Whose.
        publisher: PublisherHandle,
        /// Which m-line of the uplink.
        mid: String,
        /// How many since the last report.
        packets: u64,
    },
    /// A command conflicted with the worker's state, or (`worker`, 0) the worker ended by itself.
    CommandFailed {
        /// The command's name.
        command: &'static str,
        /// Its main handle.
        handle: u64,
        /// Stable.
        reason: &'static str,
    },
}

/// First in, first out; a full ring refuses.
pub(crate) struct EventRing {
    waiting: Mutex<VecDeque<Event>>,
    capacity: usize,
    wakeup: Wakeup,
}

impl EventRing {
    pub(crate) fn new(capacity: usize) -> io::Result<Self> {
        Ok(Self {
            waiting: Mutex::new(VecDeque::new()),
            capacity: capacity.max(2),
            wakeup: Wakeup::new()?,
        })
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Event>> {
        // Every critical section leaves the queue whole, so a poisoned lock is still good.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there was room. DTLS, of which a peer decides how much comes, gets half of it.
    pub(crate) fn push(&self, event: Event) -> bool {
        let mut waiting = self.lock();
        let is_dtls = matches!(event, Event::DtlsDatagram { .. });
        let room = if is_dtls {
            self.capacity / 2
        } else {
            self.capacity
        };
        if waiting.len() >= room {
            return false;
        }
        waiting.push_back(event);
        if waiting.len() == 1 {
            self.wakeup.signal();
        }
        true
    }

    /// Takes all.
    pub(crate) fn drain(&self) -> VecDeque<Event> {
        let mut waiting = self.lock();
        self.wakeup.clear();
        std::mem::take(&mut *waiting)
    }

    pub(crate) fn as_raw_fd(&self) -> RawFd {
        self.wakeup.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_dtls_leaves_room_for_what_the_core_has_to_say() {
        let ring = EventRing::new(8).unwrap();
        let transport = TransportHandle(1);
        let taken = (0..8)
            .filter(|_| {
                ring.push(Event::DtlsDatagram {
                    transport,
                    datagram: vec![22],
                })
            })
            .count();
        assert_eq!(taken, 4);
        let taken = (0..8)
            .filter(|_| ring.push(Event::IceValidated { transport }))
            .count();
        assert_eq!(taken, 4);
        assert_eq!(ring.drain().len(), 8);
        assert!(ring.drain().is_empty());
        assert!(ring.push(Event::ConsentExpired { transport }));
    }
}
