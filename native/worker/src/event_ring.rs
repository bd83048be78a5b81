//! A bounded queue of events to the control plane, with an eventfd that signals waiting events.

use std::collections::VecDeque;
use std::io;
use std::os::fd::RawFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::api::Event;
use crate::poller::Wakeup;

/// First in, first out. A full ring refuses events.
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
        // Every critical section leaves the queue consistent, so a poisoned lock is still usable.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether there was room. DTLS datagrams, whose number peers control, get at most half
    /// of it.
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

    /// Takes all events.
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
    use sealroute_forward::TransportHandle;
    use serde_bytes::ByteBuf;

    use super::*;

    #[test]
    fn a_flood_of_dtls_leaves_room_for_other_events() {
        let ring = EventRing::new(8).unwrap();
        let transport = TransportHandle(1);
        let taken = (0..8)
            .filter(|_| {
                ring.push(Event::DtlsDatagram {
                    transport,
                    datagram: ByteBuf::from(vec![22]),
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
