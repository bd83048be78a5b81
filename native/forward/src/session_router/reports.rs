//! RTCP of publishers and subscribers, and what is due by time.

use std::time::Instant;

use sealroute_rtp::rtcp::{Compound, LostSequences, ReportBlocks, RtcpPacket};

use super::packets::announce;
use super::{Route, SessionRouter};
use crate::drop_reason::DropReason;
use crate::layers::Allocation;
use crate::outbox::Outbox;
use crate::parameters::{MediaKind, TransportHandle};
use crate::reports::{REPORT_INTERVAL, handle_block, write_for_sink, write_reception};

/// Numbers of one NACK packet that are looked at: more do not fit a second of video.
const MAX_NACKED: usize = 512;

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
                    // Reports on retransmissions are about another count of packets.
                    let route = self.routes.get(&(transport, ssrc)).copied();
                    if let Some(route) = route.filter(|route| !route.retransmission) {
                        let stream = &mut self.sources[route.source].encodings[route.encoding];
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
            if let Some(&key) = self.sink_ssrcs.get(&(transport, block.ssrc)) {
                let lost = handle_block(now, &mut self.sinks[key], block);
                worst = Some(worst.unwrap_or_default().max(lost));
            }
        }
        if let (Some(lost), Some(downlink)) = (worst, self.downlinks.of(transport))
            && downlink.handle_report(now, lost)
        {
            for &key in &downlink.sinks {
                self.sinks[key].allocation = Allocation::Unlimited;
            }
        }
    }

    fn pass_on_report(&mut self, now: Instant, route: Route, out: &mut impl Outbox) {
        let source = &self.sources[route.source];
        for &key in &source.sinks {
            let sink = &mut self.sinks[key];
            self.compound.clear();
            if sink.current == Some(route.encoding)
                && write_for_sink(now, sink, source, &mut self.compound)
            {
                out.rtcp(sink.transport, &self.compound);
            }
        }
    }

    fn handle_nack(
        &mut self,
        now: Instant,
        transport: TransportHandle,
        media_ssrc: u32,
        lost: LostSequences<'_>,
        out: &mut impl Outbox,
    ) {
        let Some(&key) = self.sink_ssrcs.get(&(transport, media_ssrc)) else {
            return;
        };
        let sink = &mut self.sinks[key];
        let source = &self.sources[sink.source];
        let mut refused = false;
        for sequence in lost.take(MAX_NACKED) {
            self.counters.nacks_received += 1;
            let downlink = &mut self.downlinks[sink.downlink];
            match sink.resend(now, sequence.0, source, downlink, out) {
                Ok(()) => self.counters.rtx_sent += 1,
                Err(reason) => {
                    self.counters.drop_packet(reason);
                    refused |= reason == DropReason::ResendLimit;
                }
            }
        }
        let downlink = sink.downlink;
        self.downlinks.note(now, downlink);
        if refused {
            // What is not sent again can not be decoded on: only a key frame helps.
            self.handle_key_frame_request(now, transport, media_ssrc, out);
        }
    }

    fn handle_key_frame_request(
        &mut self,
        now: Instant,
        transport: TransportHandle,
        media_ssrc: u32,
        out: &mut impl Outbox,
    ) {
        let Some(&key) = self.sink_ssrcs.get(&(transport, media_ssrc)) else {
            return;
        };
        let sink = &mut self.sinks[key];
        if sink.kind != MediaKind::Video || !sink.forwarding {
            return;
        }
        let source = &mut self.sources[sink.source];
        let needed = sink.current.or_else(|| sink.target(now, source));
        if source.wants_key_frame(now, needed) {
            // It is on its way: asking again changes nothing, and costs nothing.
            return;
        }
        if !sink.budget.take(now) {
            self.counters.plis_refused += 1;
            return;
        }
        source.want_key_frame(needed);
        let source = sink.source;
        self.ask_publisher(now, source, out);
    }

    /// When `handle_timeout` is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let interval = self.settings.key_frame_interval;
        let asks = self.sources.iter().flat_map(|(_, source)| {
            let streams = source.encodings.iter().enumerate();
            streams
                .filter(|(_, stream)| stream.parameters.ssrc.is_some())
                .flat_map(move |(encoding, stream)| {
                    let key_frame = stream.requests.poll_timeout(interval * 2);
                    let allowed = source.budget.due(interval);
                    [
                        stream.nack.poll_timeout(),
                        key_frame
                            .filter(|_| source.demands(encoding))
                            .map(|due| allowed.map_or(due, |at| at.max(due))),
                    ]
                })
        });
        let demands = self
            .sources
            .iter()
            .filter_map(|(_, source)| source.demand.as_ref())
            .map(|demand| Some(demand.poll_timeout()));
        asks.chain(demands)
            .chain([self.next_report, self.downlinks.poll_timeout()])
            .flatten()
            .min()
    }

    /// Sends what became due.
    pub fn handle_timeout(&mut self, now: Instant, out: &mut impl Outbox) {
        self.run_downlinks(now, out);
        let reports_due = self.next_report.is_some_and(|at| at <= now);
        for key in 0..self.sources.capacity() {
            if !self.sources.contains(key) {
                continue;
            }
            self.review_demand(now, key, out);
            self.ask_publisher(now, key, out);
            let source = &mut self.sources[key];
            announce(source, now, out);
            self.compound.clear();
            if reports_due && write_reception(now, source, &mut self.compound) {
                out.rtcp(source.transport, &self.compound);
            }
        }
        if reports_due {
            self.next_report = (!self.sources.is_empty()).then_some(now + REPORT_INTERVAL);
        }
    }
}
