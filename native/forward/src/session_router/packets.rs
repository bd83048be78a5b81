//! RTP: from a publisher's packet to those of its subscribers.

use std::time::Instant;

use sealroute_rtp::RtpPacket;
use sealroute_rtp::rtcp::{write_nack, write_pli};

use super::{ForwardSettings, Route, SessionRouter};
use crate::drop_reason::DropReason;
use crate::extensions::value_of;
use crate::outbox::{ForwardEvent, Outbox};
use crate::parameters::{Extension, MediaKind, TransportHandle};
use crate::reports::{OWN_SSRC, write_for_sink};
use crate::source::Source;
use crate::speakers::Speakers;

/// SSRCs of one transport that may be bound without having been declared.
const MAX_LATCHES: u8 = 16;

/// -dBov; the first bit says whether the encoder took it for a voice (RFC 6464, section 3).
fn audio_level(source: &Source, packet: &RtpPacket<'_>) -> Option<u8> {
    let value = value_of(&source.ids, packet, Extension::AudioLevel)?;
    value.first().map(|byte| byte & 0x7f)
}

/// Whether a voice became one of those left out, or is no longer. A source without levels never is.
fn turned(
    settings: &ForwardSettings,
    speakers: &mut Speakers,
    now: Instant,
    source: &Source,
) -> Option<bool> {
    let limit = settings.loudest_voices;
    if limit == 0 || source.parameters.kind != MediaKind::Audio {
        return None;
    }
    let quiet = speakers.voices() > settings.voices_of_large_session
        && speakers.knows(source.publisher)
        && !speakers.is_among_loudest(now, source.publisher, limit);
    (quiet != source.quiet).then_some(quiet)
}

impl SessionRouter {
    /// Takes an authenticated, decrypted packet; `flush` forwards it.
    pub fn handle_rtp(&mut self, now: Instant, transport: TransportHandle, packet: &[u8]) {
        self.counters.rtp_received += 1;
        if let Err(reason) = self.take(now, transport, packet) {
            self.counters.drop_packet(reason);
        }
    }

    fn take(
        &mut self,
        now: Instant,
        transport: TransportHandle,
        bytes: &[u8],
    ) -> Result<(), DropReason> {
        let packet = RtpPacket::parse(bytes).map_err(|_| DropReason::Malformed)?;
        let known = self.routes.get(&(transport, packet.ssrc())).copied();
        let route = known
            .or_else(|| self.latch(transport, &packet))
            .ok_or(DropReason::UnknownStream)?;
        let source = &mut self.sources[route.source];
        if !std::mem::replace(&mut source.dirty, true) {
            self.dirty.push(route.source);
        }
        if route.retransmission {
            source.take_retransmission(now, route.encoding, &packet)
        } else {
            source.take(now, route.encoding, &packet)?;
            if source.parameters.kind == MediaKind::Audio
                && let Some(level) = audio_level(source, &packet)
            {
                let change = self.speakers.record(now, source.publisher, level);
                self.new_speaker = change.or(self.new_speaker);
            }
            Ok(())
        }
    }

    /// Finds the RtpStream of an SSRC that no offer named: by MID and RID, else by a payload
    /// type that only one source of the transport has (RFC 8843 section 9.2).
    fn latch(&mut self, transport: TransportHandle, packet: &RtpPacket<'_>) -> Option<Route> {
        let latches = self.latches.entry(transport).or_default();
        if *latches >= MAX_LATCHES {
            return None;
        }
        let own = || {
            self.sources
                .iter()
                .filter(|(_, source)| source.transport == transport)
        };
        let mid = |source: &Source| value_of(&source.ids, packet, Extension::Mid);
        let has_mid = |source: &Source| mid(source) == Some(source.parameters.mid.as_bytes());
        let named = own().find(|(_, source)| has_mid(source));
        let payload_type = packet.payload_type();
        let (key, source) = named.or_else(|| {
            // A MID that no source has belongs to an m-line that is not published (yet).
            let mut same = own().filter(|(_, source)| {
                source.parameters.payload_type == payload_type && mid(source).is_none()
            });
            same.next().filter(|_| same.next().is_none())
        })?;
        let retransmission = source.parameters.rtx_payload_type == Some(payload_type);
        let kind = if retransmission {
            Extension::RepairedRid
        } else {
            Extension::Rid
        };
        let rid = value_of(&source.ids, packet, kind);
        let encoding = source.encodings.iter().position(|stream| {
            let known = if retransmission {
                stream.parameters.rtx_ssrc
            } else {
                stream.parameters.ssrc
            };
            known.is_none() && stream.parameters.rid.as_deref().map(str::as_bytes) == rid
        })?;
        *latches += 1;
        let parameters = &mut self.sources[key].encodings[encoding].parameters;
        let slot = if retransmission {
            &mut parameters.rtx_ssrc
        } else {
            &mut parameters.ssrc
        };
        *slot = Some(packet.ssrc());
        let route = Route {
            source: key,
            encoding,
            retransmission,
        };
        self.routes.insert((transport, packet.ssrc()), route);
        Some(route)
    }

    /// Forwards what was taken, subscriber by subscriber.
    pub fn flush(&mut self, now: Instant, out: &mut impl Outbox) {
        let mut dirty = std::mem::take(&mut self.dirty);
        for &key in &dirty {
            self.flush_source(now, key, out);
        }
        dirty.clear();
        self.dirty = dirty;
        if let Some(publisher) = self.new_speaker.take() {
            out.event(ForwardEvent::DominantSpeaker { publisher });
        }
    }

    fn flush_source(&mut self, now: Instant, key: usize, out: &mut impl Outbox) {
        self.begin_what_woke(now, key);
        let Some(source) = self.sources.get_mut(key) else {
            return;
        };
        announce(source, now, out);
        if let Some(quiet) = turned(&self.settings, &mut self.speakers, now, source) {
            source.quiet = quiet;
            // Numbers go on without a gap when it is heard again.
            for &sink in &source.sinks {
                self.sinks[sink].restart();
            }
        }
        if source.sinks.is_empty() {
            self.counters
                .drop_packets(DropReason::NoSubscriber, source.pending.len());
        }
        let sinks = std::mem::take(&mut source.sinks);
        for &sink in &sinks {
            let sink = &mut self.sinks[sink];
            let downlink = &mut self.downlinks[sink.downlink];
            sink.forward(now, source, downlink, &mut self.counters, out);
            self.downlinks.note(now, sink.downlink);
            if sink.wants_report {
                self.compound.clear();
                if write_for_sink(now, sink, source, &mut self.compound) {
                    out.rtcp(sink.transport, &self.compound);
                }
            }
        }
        source.sinks = sinks;
        source.pending.clear();
        source.dirty = false;
        self.ask_publisher(now, key, out);
    }

    /// Asks for lost packets and wanted key frames that are due.
    pub(super) fn ask_publisher(&mut self, now: Instant, key: usize, out: &mut impl Outbox) {
        let source = &mut self.sources[key];
        self.compound.clear();
        let interval = self.settings.key_frame_interval;
        // All that is wanted is asked for at once, for all of it may come at once.
        let asks = source.is_to_be_asked(now, interval);
        for (encoding, stream) in source.encodings.iter_mut().enumerate() {
            let Some(ssrc) = stream.parameters.ssrc else {
                continue;
            };
            self.lost.clear();
            stream.nack.poll(now, &mut self.lost);
            if !self.lost.is_empty() {
                self.counters.nacks_sent += self.lost.len() as u64;
                write_nack(&mut self.compound, OWN_SSRC, ssrc, &self.lost);
            }
            let sent = source.demand.is_none_or(|demand| demand.includes(encoding));
            if asks && sent && stream.requests.ask(now) {
                self.counters.plis_sent += 1;
                write_pli(&mut self.compound, OWN_SSRC, ssrc);
            }
        }
        if asks {
            source.budget.spend(now, interval);
        }
        if !self.compound.is_empty() {
            out.rtcp(source.transport, &self.compound);
        }
    }
}

/// Notes which encodings began, and tells of packets that the plaintext guard refused.
pub(super) fn announce(source: &mut Source, now: Instant, out: &mut impl Outbox) {
    for pending in &source.pending {
        source.encodings[pending.encoding].active = true;
    }
    if let Some(packets) = source.guard.poll_report(now) {
        out.event(ForwardEvent::NotEncrypted {
            publisher: source.publisher,
            mid: source.parameters.mid.clone(),
            packets,
        });
    }
}
