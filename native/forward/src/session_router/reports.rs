//! RTCP of publishers and subscribers, and timeouts.

use std::time::Instant;

use sealroute_rtp::rtcp::{Compound, LostSequences, ReportBlocks, RtcpPacket};

use super::packets::announce;
use super::{Route, SessionRouter};
use crate::drop_reason::DropReason;
use crate::layers::Allocation;
use crate::outbox::Outbox;
use crate::parameters::{MediaKind, TransportHandle};
use crate::reports::{REPORT_INTERVAL, handle_block, write_for_down_track, write_reception};

/// Sequence numbers handled per NACK packet: more than a second of video has.
pub(super) const MAX_NACKED: usize = 512;

impl SessionRouter {
    /// Takes an authenticated compound of a publisher or a subscriber.
    pub fn handle_rtcp(
        &mut self,
        now: Instant,
        transport: TransportHandle,
        compound: &[u8],
        out: &mut impl Outbox,
    ) {
        for packet in Compound::new(compound) {
            match packet {
                RtcpPacket::SenderReport {
                    ssrc,
                    info,
                    reports,
                } => {
                    self.handle_reports(now, transport, reports);
                    // Reports on a retransmission stream count other packets.
                    let route = self.routes.get(&(transport, ssrc)).copied();
                    if let Some(route) = route.filter(|route| !route.retransmission) {
                        let stream = &mut self.up_tracks[route.up_track].encodings[route.encoding];
                        stream.reception.handle_sender_report(now, info);
                        self.pass_on_report(now, route, out);
                    }
                }
                RtcpPacket::ReceiverReport { reports } => {
                    self.handle_reports(now, transport, reports);
                }
                RtcpPacket::Nack { media_ssrc, lost } => {
                    self.handle_nack(now, transport, media_ssrc, lost, out);
                }
                RtcpPacket::Pli { media_ssrc } | RtcpPacket::Fir { media_ssrc } => {
                    self.counters.plis_received += 1;
                    self.handle_key_frame_request(now, transport, media_ssrc, out);
                }
                RtcpPacket::TransportFeedback { body } => {
                    if let Some(downlink) = self.downlinks.of(transport) {
                        downlink.handle_feedback(now, body);
                    }
                }
                RtcpPacket::Remb { body } => {
                    if let Some(downlink) = self.downlinks.of(transport) {
                        downlink.handle_remb(now, body);
                    }
                }
                _ => {}
            }
        }
    }

    fn handle_reports(
        &mut self,
        now: Instant,
        transport: TransportHandle,
        reports: ReportBlocks<'_>,
    ) {
        let mut worst: Option<f64> = None;
        for block in reports {
            if let Some(&key) = self.down_track_ssrcs.get(&(transport, block.ssrc)) {
                let lost = handle_block(now, &mut self.down_tracks[key], block);
                worst = Some(worst.unwrap_or_default().max(lost));
            }
        }
        if let (Some(lost), Some(downlink)) = (worst, self.downlinks.of(transport))
            && downlink.handle_report(now, lost)
        {
            for &key in &downlink.down_tracks {
                self.down_tracks[key].allocate(Allocation::Unlimited);
            }
        }
    }

    fn pass_on_report(&mut self, now: Instant, route: Route, out: &mut impl Outbox) {
        let up_track = &self.up_tracks[route.up_track];
        for &key in &up_track.down_tracks {
            let down_track = &mut self.down_tracks[key];
            self.compound.clear();
            if down_track.selection.current() == Some(route.encoding)
                && write_for_down_track(now, down_track, up_track, &mut self.compound)
            {
                out.rtcp(down_track.route.transport, &self.compound);
            }
        }
        self.report_to_trunks(now, route, out);
    }

    fn handle_nack(
        &mut self,
        now: Instant,
        transport: TransportHandle,
        media_ssrc: u32,
        lost: LostSequences<'_>,
        out: &mut impl Outbox,
    ) {
        let Some(&key) = self.down_track_ssrcs.get(&(transport, media_ssrc)) else {
            return self.handle_trunk_nack((transport, media_ssrc), lost, out);
        };
        let down_track = &mut self.down_tracks[key];
        let up_track = &self.up_tracks[down_track.route.up_track];
        let key = down_track.route.downlink;
        let mut refused = false;
        for sequence in lost.take(MAX_NACKED) {
            self.counters.nacks_received += 1;
            let downlink = &mut self.downlinks[key];
            match down_track.resend(now, sequence.0, up_track, downlink, out) {
                Ok(()) => self.counters.rtx_sent += 1,
                Err(reason) => {
                    self.counters.drop_packet(reason);
                    refused |= reason == DropReason::ResendLimit;
                }
            }
        }
        self.downlinks.note(now, key);
        if refused {
            // Without the retransmission the decoder is stuck: only a key frame helps.
            self.handle_key_frame_request(now, transport, media_ssrc, out);
        }
    }

    pub(super) fn handle_key_frame_request(
        &mut self,
        now: Instant,
        transport: TransportHandle,
        media_ssrc: u32,
        out: &mut impl Outbox,
    ) {
        let Some(&key) = self.down_track_ssrcs.get(&(transport, media_ssrc)) else {
            return self.handle_trunk_key_frame_request(now, (transport, media_ssrc), out);
        };
        let down_track = &mut self.down_tracks[key];
        let selection = &down_track.selection;
        if down_track.route.kind != MediaKind::Video || !selection.forwards() {
            return;
        }
        if selection.lacks_room() {
            // Still frames have requests of their own, which cost the publisher less.
            return;
        }
        let up_track = &mut self.up_tracks[down_track.route.up_track];
        let needed = selection
            .current()
            .or_else(|| down_track.target(now, up_track));
        if up_track.wants_key_frame(now, needed) {
            // It is already requested; asking again is free and changes nothing.
            return;
        }
        if !down_track.repair.may_request_key_frame(now) {
            self.counters.plis_refused += 1;
            return;
        }
        up_track.want_key_frame(needed);
        let up_track = down_track.route.up_track;
        self.ask_publisher(now, up_track, out);
    }

    /// When `handle_timeout` is due. It costs little when nothing has changed.
    pub fn poll_timeout(&mut self) -> Option<Instant> {
        let interval = self.settings.key_frame_interval;
        [
            self.up_tracks.poll_timeout(interval),
            self.next_report,
            self.downlinks.poll_timeout(),
            self.uplinks.poll_timeout(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Runs the work that is due.
    pub fn handle_timeout(&mut self, now: Instant, out: &mut impl Outbox) {
        self.run_downlinks(now, out);
        self.send_feedback(now, out);
        for key in self.up_tracks.due(now, self.settings.key_frame_interval) {
            self.review_subscribed_layers(now, key, out);
            self.ask_publisher(now, key, out);
            announce(&mut self.up_tracks[key], now, out);
        }
        if self.next_report.is_some_and(|at| at <= now) {
            self.report_reception(now, out);
            self.next_report = (!self.up_tracks.is_empty()).then_some(now + REPORT_INTERVAL);
        }
    }

    fn send_feedback(&mut self, now: Instant, out: &mut impl Outbox) {
        self.compound.clear();
        while let Some(transport) = self.uplinks.poll_feedback(now, &mut self.compound) {
            out.rtcp(transport, &self.compound);
            self.compound.clear();
        }
    }

    fn report_reception(&mut self, now: Instant, out: &mut impl Outbox) {
        for up_track in self.up_tracks.iter_mut() {
            let from = up_track.transport;
            if self.locals.contains_key(&from) || self.trunks.contains(from) {
                continue; // there is no network on the way
            }
            self.compound.clear();
            if write_reception(now, up_track, &mut self.compound) {
                out.rtcp(up_track.transport, &self.compound);
            }
        }
    }
}
