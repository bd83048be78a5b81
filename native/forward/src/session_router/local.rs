//! Local transports: the other end is a process of this host that reads clear media, a tap.
//!
//! There is no path to estimate, and nothing to repair. All that differs from a peer's transport is
//! decided here: which parameters of an m-line remain, and when the reader is too far behind for
//! video. A down track knows by its route that others being louder is no reason to withhold audio.
//!
//! Only a session whose payloads may be read has local transports. `open_local` is the one way to
//! [`ClearMedia`], without which the worker can open none.

use std::time::Instant;

use super::{ForwardError, SessionRouter};
use crate::layers::Allocation;
use crate::outbox::Outbox;
use crate::parameters::{
    DownTrackParameters, Extension, ExtensionIds, MediaKind, PayloadAccess, TransportHandle,
};

/// What a reader needs: loudness, and which side of a frame is up. The others describe a network.
const KEPT_EXTENSIONS: [Extension; 2] = [Extension::AudioLevel, Extension::VideoOrientation];

/// Proof that the media of a session may be read: a session with end-to-end encryption gives none.
#[derive(Debug)]
pub struct ClearMedia(());

/// Whether the reader of a local transport keeps up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Local {
    has_room: bool,
}

impl SessionRouter {
    /// Makes the transport a local one, until `close_transport`.
    ///
    /// # Errors
    /// `Opaque` if the session's payloads must not be read; `HandleTaken` if it is one already.
    pub fn open_local(&mut self, transport: TransportHandle) -> Result<ClearMedia, ForwardError> {
        if self.access != PayloadAccess::Clear {
            return Err(ForwardError::Opaque);
        }
        if self.locals.contains_key(&transport) {
            return Err(ForwardError::HandleTaken);
        }
        self.locals.insert(transport, Local { has_room: true });
        Ok(ClearMedia(()))
    }

    /// The allocation with which a down track of the transport starts; `None`: it is not local.
    pub(super) fn local_allocation(&self, transport: TransportHandle) -> Option<Allocation> {
        let local = self.locals.get(&transport)?;
        Some(if local.has_room {
            Allocation::Unlimited
        } else {
            Allocation::Paused
        })
    }

    /// Tells whether the reader of a local transport has room for video. Without room video is
    /// withheld, so that audio still passes; with room again, it starts at a key frame, and the
    /// outbox gets the number of packets that were withheld.
    pub fn set_room(&mut self, transport: TransportHandle, has_room: bool, out: &mut impl Outbox) {
        let Some(local) = self.locals.get_mut(&transport) else {
            return;
        };
        if std::mem::replace(&mut local.has_room, has_room) == has_room {
            return;
        }
        let Some(downlink) = self.downlinks.of(transport) else {
            return;
        };
        for &key in &downlink.down_tracks {
            let down_track = &mut self.down_tracks[key];
            if down_track.route.kind != MediaKind::Video {
                continue;
            }
            if has_room {
                down_track.allocate(Allocation::Unlimited);
                let withheld = down_track.delivery.take_withheld();
                if withheld > 0 {
                    out.lost(transport, down_track.outgoing.ssrc(), withheld);
                }
            } else {
                down_track.allocate(Allocation::Paused);
            }
        }
    }

    /// The reader of a local transport needs a key frame. The publisher is asked as often as for any
    /// other receiver.
    pub fn request_key_frame(
        &mut self,
        now: Instant,
        transport: TransportHandle,
        ssrc: u32,
        out: &mut impl Outbox,
    ) {
        self.counters.plis_received += 1;
        self.handle_key_frame_request(now, transport, ssrc, out);
    }
}

/// What remains of the m-lines on a local transport: no retransmission, and no header extension
/// that describes a network.
pub(super) fn reduced(down_tracks: &[DownTrackParameters]) -> Vec<DownTrackParameters> {
    let reduce = |of: &DownTrackParameters| {
        let ids = of.extensions.0.iter().copied();
        let kept = ids.filter(|(kind, _)| KEPT_EXTENSIONS.contains(kind));
        DownTrackParameters {
            rtx_ssrc: None,
            rtx_payload_type: None,
            nack: false,
            extensions: ExtensionIds(kept.collect()),
            ..of.clone()
        }
    };
    down_tracks.iter().map(reduce).collect()
}
