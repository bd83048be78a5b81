//! Still frames of a downlink's paused videos: they take turns, at a bounded bitrate.

use std::time::Instant;

use sealroute_rtp::DataRate;

use super::SessionRouter;
use crate::registry::{DownTrackKey, DownlinkKey};

/// Still frames get what the allocation leaves over, and at least this: as much as one voice more.
/// An estimate that is too low leaves nothing over.
const LEAST: DataRate = DataRate::from_kbps(32.0);

impl SessionRouter {
    /// Lets the paused video that has waited longest show a still frame, once the previous still
    /// frame has left. `left`: the part of the budget that was not allocated.
    pub(super) fn show_stills(&mut self, now: Instant, key: DownlinkKey, left: DataRate) {
        let downlink = &mut self.downlinks[key];
        downlink.stills.set_rate(Some(left.max(LEAST)));
        let mut turn: Option<(Instant, DownTrackKey)> = None;
        for &index in &downlink.down_tracks {
            let down_track = &mut self.down_tracks[index];
            let Some(due) = down_track.still_due(now) else {
                continue;
            };
            if down_track.selection.awaits_still(now) {
                return self.request_still(now, index);
            }
            let sends = self.up_tracks[down_track.route.up_track].forwarding;
            if sends && due <= now && turn.is_none_or(|(earliest, _)| due < earliest) {
                turn = Some((due, index));
            }
        }
        if let Some((_, index)) = turn
            && downlink.stills.queued() == 0
        {
            self.down_tracks[index].await_still(now);
            self.request_still(now, index);
        }
    }

    fn request_still(&mut self, now: Instant, index: DownTrackKey) {
        let down_track = &self.down_tracks[index];
        let up_track = &mut self.up_tracks[down_track.route.up_track];
        let target = down_track.target(now, up_track);
        up_track.want_still(now, target);
    }
}
