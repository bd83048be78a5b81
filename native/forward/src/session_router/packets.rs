//! The path of RTP packets from a publisher to its subscribers.

use std::time::Instant;

use sealroute_rtp::RtpPacket;
use sealroute_rtp::rtcp::{write_nack, write_pli};

use super::{ForwardSettings, Route, SessionRouter, trunks};
use crate::drop_reason::DropReason;
use crate::extensions::value_of;
use crate::outbox::{ForwardEvent, Outbox};
use crate::parameters::{Extension, MediaKind, TransportHandle};
use crate::registry::UpTrackKey;
use crate::reports::{OWN_SSRC, write_for_down_track};
use crate::speakers::Speakers;
use crate::up_track::UpTrack;

/// -dBov; the first bit is the encoder's voice activity flag (RFC 6464, section 3).
fn audio_level(up_track: &UpTrack, packet: &RtpPacket<'_>) -> Option<u8> {
    let value = value_of(&up_track.ids, packet, Extension::AudioLevel)?;
    value.first().map(|byte| byte & 0x7f)
}

/// Whether an audio track became muted by level, or is no longer (audio last-N). A track without
/// levels never is.
fn turned(
    settings: &ForwardSettings,
    speakers: &mut Speakers,
    now: Instant,
    up_track: &UpTrack,
) -> Option<bool> {
    let limit = settings.loudest_voices;
    if limit == 0 || up_track.parameters.kind != MediaKind::Audio {
        return None;
    }
    let quiet = speakers.voices() > settings.voices_of_large_session
        && speakers.knows(up_track.publisher)
        && !speakers.is_among_loudest(now, up_track.publisher, limit);
    (quiet != up_track.quiet).then_some(quiet)
}

impl SessionRouter {
    /// Takes an authenticated, decrypted packet; `flush` forwards it.
    pub fn handle_rtp(&mut self, now: Instant, transport: TransportHandle, packet: &[u8]) {
        self.counters.rtp_received += 1;
        let Ok(packet) = RtpPacket::parse(packet) else {
            self.counters.drop_packet(DropReason::Malformed);
            return;
        };
        let known = self.routes.get(&(transport, packet.ssrc())).copied();
        let route = known.or_else(|| self.latch(transport, &packet));
        let taken = route
            .ok_or(DropReason::UnknownStream)
            .and_then(|route| self.take(now, route, &packet));
        if let Err(reason) = taken {
            self.counters.drop_packet(reason);
        }
        let ids = route.map(|route| &self.up_tracks[route.up_track].ids);
        let id = ids.map(|ids| ids.id(Extension::TransportCc));
        self.uplinks.record(now, transport, &packet, id);
    }

    fn take(
        &mut self,
        now: Instant,
        route: Route,
        packet: &RtpPacket<'_>,
    ) -> Result<(), DropReason> {
        let up_track = &mut self.up_tracks[route.up_track];
        if !std::mem::replace(&mut up_track.dirty, true) {
            self.dirty.push(route.up_track);
        }
        if route.retransmission {
            up_track.take_retransmission(now, route.encoding, packet)
        } else {
            up_track.take(now, route.encoding, packet)?;
            if up_track.parameters.kind == MediaKind::Audio
                && let Some(level) = audio_level(up_track, packet)
            {
                let change = self.speakers.record(now, up_track.publisher, level);
                self.new_speaker = change.or(self.new_speaker);
            }
            Ok(())
        }
    }

    /// Finds the RtpStream of an undeclared SSRC: by MID and RID, else by a payload type that only
    /// one up track of the transport has (RFC 8843 section 9.2).
    fn latch(&mut self, transport: TransportHandle, packet: &RtpPacket<'_>) -> Option<Route> {
        if !self.uplinks.may_latch(transport) {
            return None;
        }
        let own = || {
            self.up_tracks
                .iter()
                .filter(|(_, up_track)| up_track.transport == transport)
        };
        let mid = |up_track: &UpTrack| value_of(&up_track.ids, packet, Extension::Mid);
        let has_mid =
            |up_track: &UpTrack| mid(up_track) == Some(up_track.parameters.mid.as_bytes());
        let named = own().find(|(_, up_track)| has_mid(up_track));
        let payload_type = packet.payload_type();
        let (key, up_track) = named.or_else(|| {
            // A MID without an up track belongs to an m-line that is not published yet.
            let mut same = own().filter(|(_, up_track)| {
                up_track.parameters.payload_type == payload_type && mid(up_track).is_none()
            });
            same.next().filter(|_| same.next().is_none())
        })?;
        let retransmission = up_track.parameters.rtx_payload_type == Some(payload_type);
        let kind = if retransmission {
            Extension::RepairedRid
        } else {
            Extension::Rid
        };
        let rid = value_of(&up_track.ids, packet, kind);
        let (encoding, _) = up_track.encodings.indexed().find(|(_, stream)| {
            let known = if retransmission {
                stream.parameters.rtx_ssrc
            } else {
                stream.parameters.ssrc
            };
            known.is_none() && stream.parameters.rid.as_deref().map(str::as_bytes) == rid
        })?;
        self.uplinks.count_latch(transport);
        let parameters = &mut self.up_tracks[key].encodings[encoding].parameters;
        let slot = if retransmission {
            &mut parameters.rtx_ssrc
        } else {
            &mut parameters.ssrc
        };
        *slot = Some(packet.ssrc());
        let route = Route {
            up_track: key,
            encoding,
            retransmission,
        };
        self.routes.insert((transport, packet.ssrc()), route);
        Some(route)
    }

    /// Forwards the received packets, subscriber by subscriber.
    pub fn flush(&mut self, now: Instant, out: &mut impl Outbox) {
        let mut dirty = std::mem::take(&mut self.dirty);
        for &key in &dirty {
            self.flush_up_track(now, key, out);
        }
        dirty.clear();
        self.dirty = dirty;
        if let Some(publisher) = self.new_speaker.take() {
            out.event(ForwardEvent::DominantSpeaker { publisher });
        }
    }

    fn flush_up_track(&mut self, now: Instant, key: UpTrackKey, out: &mut impl Outbox) {
        self.begin_activated(now, key);
        let Some(up_track) = self.up_tracks.get_mut(key) else {
            return;
        };
        announce(up_track, now, out);
        if let Some(quiet) = turned(&self.settings, &mut self.speakers, now, up_track) {
            up_track.quiet = quiet;
            // Sequence numbers continue without a gap after the mute.
            for &down_track in &up_track.down_tracks {
                let down_track = &mut self.down_tracks[down_track];
                if !down_track.route.is_local {
                    down_track.restart();
                }
            }
        }
        let crosses = !up_track.trunks.is_empty();
        if up_track.down_tracks.is_empty() && !crosses {
            self.counters
                .drop_packets(DropReason::NoSubscriber, up_track.pending.len());
        }
        let down_tracks = std::mem::take(&mut up_track.down_tracks);
        for &down_track in &down_tracks {
            let down_track = &mut self.down_tracks[down_track];
            let (downlink, transport) = (down_track.route.downlink, down_track.route.transport);
            let path = &mut self.downlinks[downlink];
            down_track.forward(now, up_track, path, &mut self.counters, out);
            self.downlinks.note(now, downlink);
            if down_track.delivery.wants_report() {
                self.compound.clear();
                if write_for_down_track(now, down_track, up_track, &mut self.compound) {
                    out.rtcp(transport, &self.compound);
                }
            }
        }
        up_track.down_tracks = down_tracks;
        if crosses {
            trunks::feed(now, up_track, &mut self.counters, out);
        }
        up_track.pending.clear();
        up_track.dirty = false;
        self.ask_publisher(now, key, out);
    }

    /// Requests lost packets and key frames that are due.
    pub(super) fn ask_publisher(&mut self, now: Instant, key: UpTrackKey, out: &mut impl Outbox) {
        let up_track = &mut self.up_tracks[key];
        self.compound.clear();
        let interval = self.settings.key_frame_interval;
        // All due requests go out together, because the answers may come together.
        let asks = up_track.is_to_be_asked(now, interval);
        for (encoding, stream) in up_track.encodings.indexed_mut() {
            let Some(ssrc) = stream.parameters.ssrc else {
                continue;
            };
            self.lost.clear();
            stream.nack.poll(now, &mut self.lost);
            if !self.lost.is_empty() {
                self.counters.nacks_sent += self.lost.len() as u64;
                write_nack(&mut self.compound, OWN_SSRC, ssrc, &self.lost);
            }
            let sent = up_track
                .subscribed_layers
                .is_none_or(|layers| layers.includes(encoding));
            if asks && sent && stream.requests.ask(now) {
                self.counters.plis_sent += 1;
                write_pli(&mut self.compound, OWN_SSRC, ssrc);
            }
        }
        if asks {
            up_track.budget.spend(now, interval);
        }
        if !self.compound.is_empty() {
            out.rtcp(up_track.transport, &self.compound);
        }
    }
}

/// Marks encodings that started, and reports packets that the plaintext guard refused.
pub(super) fn announce(up_track: &mut UpTrack, now: Instant, out: &mut impl Outbox) {
    for pending in &up_track.pending {
        up_track.encodings[pending.encoding].active = true;
    }
    if let Some(packets) = up_track.guard.poll_report(now) {
        out.event(ForwardEvent::NotEncrypted {
            publisher: up_track.publisher,
            mid: up_track.parameters.mid.clone(),
            packets,
        });
    }
}
