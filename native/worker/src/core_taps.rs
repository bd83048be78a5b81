//! Taps in the worker's state: their commands, and what their readers and sessions tell each other.

use std::time::Instant;

use sealroute_forward::{ForwardError, TransportHandle};

use crate::api::{Event, OpenTap, WriteTap};
use crate::core::Core;
use crate::core_commands::{HANDLE_TAKEN, Outcome, UNKNOWN_HANDLE};
use crate::egress::MessageSocket;
use crate::tap::Reader;
use crate::taps::{Change, What};

/// The system has no more descriptors to watch.
const NOT_WATCHED: &str = "not_watched";
/// The reader has left a megabyte of the control plane's records unread.
const READER_STUCK: &str = "reader_stuck";
const READER_GONE: &str = "reader_gone";
/// The reader went on to send more than it may.
const READER_FLOODS: &str = "reader_floods";

impl<S: MessageSocket> Core<S> {
    pub(crate) fn open_tap(&mut self, command: OpenTap) -> Outcome {
        let OpenTap {
            router,
            transport,
            socket,
        } = command;
        let session = self.sessions.get_mut(&router).ok_or(UNKNOWN_HANDLE)?;
        let is_peer = self.transports.contains(transport);
        if is_peer || self.taps.contains(transport) || self.trunks.contains(transport) {
            return Err(HANDLE_TAKEN);
        }
        let clear = { session.router.open_local(transport) }.map_err(ForwardError::name)?;
        let opened = self.taps.open(clear, router, transport, socket);
        opened.map_err(|_| {
            // It has nothing to end but what was just opened.
            let _ = session.router.close_transport(transport);
            NOT_WATCHED
        })
    }

    pub(crate) fn write_tap(&mut self, now: Instant, command: &WriteTap) -> Outcome {
        self.taps.set_time(now);
        match self.taps.json(command.transport, &command.body.0) {
            None => Err(UNKNOWN_HANDLE),
            Some(false) => Err(READER_STUCK),
            Some(true) => Ok(()),
        }
    }

    /// Closes a tap, whose reader gets the end after everything else. The session has ended what
    /// used it.
    pub(crate) fn close_tap(&mut self, now: Instant, transport: TransportHandle) {
        self.taps.set_time(now);
        self.taps.close(transport, &mut self.counters);
    }

    /// Serves the readers of taps.
    pub(crate) fn serve_taps(&mut self, now: Instant) {
        self.taps.serve(now, &mut self.counters);
        self.pass_on_changes(now);
    }

    /// Writes the records of the batch.
    pub(crate) fn flush_taps(&mut self, now: Instant) {
        self.taps.flush(&mut self.counters);
        self.pass_on_changes(now);
    }

    fn pass_on_changes(&mut self, now: Instant) {
        for change in self.taps.take_changes() {
            self.pass_on(now, change);
        }
    }

    fn pass_on(&mut self, now: Instant, change: Change) {
        let Change {
            router,
            transport,
            what,
        } = change;
        match what {
            What::KeyFrame(ssrc) => {
                self.with_session(router, |session, out| {
                    session.router.request_key_frame(now, transport, ssrc, out);
                });
            }
            What::Packet(packet) => {
                self.with_session(router, |session, _| {
                    session.router.handle_rtp(now, transport, &packet);
                });
            }
            What::Reader(reader) => {
                let has_room = reader == Reader::KeepsUp;
                self.with_session(router, |session, out| {
                    session.router.set_room(transport, has_room, out);
                });
                let reason = match reader {
                    Reader::KeepsUp | Reader::Behind => return,
                    Reader::Gone => READER_GONE,
                    Reader::Floods => READER_FLOODS,
                };
                self.push_event(Event::TapClosed { transport, reason });
            }
        }
    }
}

#[cfg(test)]
#[path = "core_taps_bench_tests.rs"]
mod bench;

#[cfg(test)]
#[path = "core_taps_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "core_taps_media_tests.rs"]
mod media_tests;

#[cfg(test)]
#[path = "core_tap_uplink_tests.rs"]
mod uplink_tests;
