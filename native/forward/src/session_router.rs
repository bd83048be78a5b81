//! Forwarding state of one session: commands and packets in, rewritten packets out.

use std::time::{Duration, Instant};

use sealroute_rtp::{HeaderFields, RtpPacket, packets, write_header, write_pli};

use crate::drop_reason::DropReason;
use crate::outbox::{ForwardEvent, Outbox};
use crate::parameters::{
    Extension, Kid, MediaKind, PayloadAccess, PublisherHandle, SinkParameters, SourceParameters,
    SubscriberHandle, TransportHandle,
};
use crate::payload_access::{frame_mark, is_guarded, is_sealed};

/// Bounds what is held between two flushes.
const MAX_PENDING_PACKETS: usize = 1_024;
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// Knobs of forwarding.
#[derive(Clone, Copy, Debug)]
pub struct ForwardSettings {
    /// At most one key-frame request per encoding in this time.
    pub key_frame_interval: Duration,
}

impl Default for ForwardSettings {
    fn default() -> Self {
        Self {
            key_frame_interval: Duration::from_secs(1),
        }
    }
}

/// Why a command was refused; `reason` is stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForwardError {
    /// No such publisher, subscriber or source.
    UnknownHandle,
    /// The handle is in use.
    HandleTaken,
    /// Another source of the transport, or sink, has this SSRC, MID or RID.
    Conflict,
    /// The parameters contradict themselves.
    Invalid,
    /// The seal guard can not check this codec, so an OPAQUE session does not carry it.
    CodecNotGuarded,
}

impl ForwardError {
    /// Stable text for `CommandFailed`.
    pub fn reason(self) -> &'static str {
        match self {
            Self::UnknownHandle => "unknown_handle",
            Self::HandleTaken => "handle_taken",
            Self::Conflict => "conflict",
            Self::Invalid => "invalid",
            Self::CodecNotGuarded => "codec_not_guarded",
        }
    }
}

/// Totals since start.
#[derive(Clone, Debug, Default)]
pub struct ForwardCounters {
    /// Packets given to `handle_rtp`.
    pub rtp_received: u64,
    /// Packets given to an outbox.
    pub rtp_forwarded: u64,
    /// Requests received from subscribers.
    pub plis_received: u64,
    /// Requests sent to publishers.
    pub plis_sent: u64,
    drops: [u64; DropReason::ALL.len()],
}

impl ForwardCounters {
    /// How many packets were dropped for one reason.
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.drops[reason as usize]
    }

    fn drop_packet(&mut self, reason: DropReason) {
        self.drops[reason as usize] += 1;
    }
}

struct Encoding {
    ssrc: Option<u32>,
    rid: Option<String>,
    active: bool,
    sealed: bool,
    wants_key_frame: bool,
    key_frame_asked: Option<Instant>,
}

struct Source {
    publisher: PublisherHandle,
    transport: TransportHandle,
    parameters: SourceParameters,
    encodings: Vec<Encoding>,
    forwarding: bool,
    unsealed_packets: u64,
    reported: Option<Instant>,
}

/// The rewrite of one source's numbers into a sink's.
#[derive(Clone, Copy)]
struct Rewrite {
    encoding: usize,
    sequence_offset: u16,
    timestamp_offset: u32,
}

/// Last numbers of an SSRC; lives as long as its transport.
struct SinkNumbers {
    transport: TransportHandle,
    ssrc: u32,
    last: Option<(u16, u32, Instant)>,
}

struct Sink {
    subscriber: SubscriberHandle,
    publisher: PublisherHandle,
    transport: TransportHandle,
    parameters: SinkParameters,
    kind: MediaKind,
    clock_rate_hz: u32,
    forwarding: bool,
    rewrite: Option<Rewrite>,
}

struct Pending {
    publisher: PublisherHandle,
    source_mid_index: usize,
    encoding: usize,
    starts: bool,
    taken: Instant,
    start: usize,
    end: usize,
}

/// Forwards among the clients of one session. Owner: the worker thread.
pub struct SessionRouter {
    access: PayloadAccess,
    settings: ForwardSettings,
    sources: Vec<Source>,
    sinks: Vec<Sink>,
    numbers: Vec<SinkNumbers>,
    pending: Vec<Pending>,
    arena: Vec<u8>,
    header: Vec<u8>,
    counters: ForwardCounters,
}

impl SessionRouter {
    /// An empty session.
    pub fn new(access: PayloadAccess, settings: ForwardSettings) -> Self {
        Self {
            access,
            settings,
            sources: Vec::new(),
            sinks: Vec::new(),
            numbers: Vec::new(),
            pending: Vec::with_capacity(MAX_PENDING_PACKETS),
            arena: Vec::new(),
            header: Vec::with_capacity(256),
            counters: ForwardCounters::default(),
        }
    }

    /// Totals since start.
    pub fn counters(&self) -> &ForwardCounters {
        &self.counters
    }

    /// Adds a publisher's sources; all or none.
    pub fn publish(
        &mut self,
        publisher: PublisherHandle,
        transport: TransportHandle,
        sources: Vec<SourceParameters>,
    ) -> Result<(), ForwardError> {
        if self
            .sources
            .iter()
            .any(|source| source.publisher == publisher)
        {
            return Err(ForwardError::HandleTaken);
        }
        for (index, source) in sources.iter().enumerate() {
            if source.encodings.is_empty() || source.clock_rate_hz == 0 {
                return Err(ForwardError::Invalid);
            }
            if self.access == PayloadAccess::Opaque && !is_guarded(source.codec) {
                return Err(ForwardError::CodecNotGuarded);
            }
            let present = self.sources.iter().filter(|s| s.transport == transport);
            let others = present.map(|s| &s.parameters).chain(&sources[..index]);
            if others.into_iter().any(|other| conflicts(other, source)) {
                return Err(ForwardError::Conflict);
            }
        }
        self.sources
            .extend(sources.into_iter().map(|parameters| Source {
                publisher,
                transport,
                encodings: parameters.encodings.iter().map(new_encoding).collect(),
                parameters,
                forwarding: true,
                unsealed_packets: 0,
                reported: None,
            }));
        Ok(())
    }

    /// Replaces the key ids that the seal guard accepts.
    pub fn declare_kids(
        &mut self,
        publisher: PublisherHandle,
        mid: &str,
        kids: Vec<Kid>,
    ) -> Result<(), ForwardError> {
        self.source(publisher, mid)?.parameters.declared_kids = kids;
        Ok(())
    }

    /// Mutes or unmutes a source.
    pub fn set_source_forwarding(
        &mut self,
        publisher: PublisherHandle,
        mid: &str,
        forwarding: bool,
    ) -> Result<(), ForwardError> {
        self.source(publisher, mid)?.forwarding = forwarding;
        Ok(())
    }

    /// Asks for a key frame on every video encoding, at the next flush.
    pub fn request_key_frame(&mut self, publisher: PublisherHandle) -> Result<(), ForwardError> {
        let mut found = false;
        for source in self.sources.iter_mut().filter(|s| s.publisher == publisher) {
            found = true;
            if source.parameters.kind == MediaKind::Video {
                source
                    .encodings
                    .iter_mut()
                    .for_each(|e| e.wants_key_frame = true);
            }
        }
        found.then_some(()).ok_or(ForwardError::UnknownHandle)
    }

    /// Ends a publisher and the sinks it feeds.
    pub fn unpublish(&mut self, publisher: PublisherHandle) -> Result<(), ForwardError> {
        if !self
            .sources
            .iter()
            .any(|source| source.publisher == publisher)
        {
            return Err(ForwardError::UnknownHandle);
        }
        self.forget_pending();
        self.sources.retain(|source| source.publisher != publisher);
        self.sinks.retain(|sink| sink.publisher != publisher);
        Ok(())
    }

    /// Starts delivery of a publisher to a transport; all sinks or none.
    pub fn subscribe(
        &mut self,
        subscriber: SubscriberHandle,
        publisher: PublisherHandle,
        transport: TransportHandle,
        sinks: &[SinkParameters],
    ) -> Result<(), ForwardError> {
        if self.sinks.iter().any(|sink| sink.subscriber == subscriber) {
            return Err(ForwardError::HandleTaken);
        }
        let mut added = Vec::with_capacity(sinks.len());
        for (index, parameters) in sinks.iter().enumerate() {
            let used = self.sinks.iter().filter(|s| s.transport == transport);
            let mut others = used.map(|s| &s.parameters).chain(&sinks[..index]);
            if others.any(|other| other.ssrc == parameters.ssrc) {
                return Err(ForwardError::Conflict);
            }
            let source = self.source(publisher, &parameters.source_mid)?;
            let (kind, clock_rate_hz) = (source.parameters.kind, source.parameters.clock_rate_hz);
            let parameters = parameters.clone();
            let sink = Sink {
                subscriber,
                publisher,
                transport,
                parameters,
                kind,
                clock_rate_hz,
                forwarding: true,
                rewrite: None,
            };
            added.push(sink);
        }
        for sink in &added {
            let ssrc = sink.parameters.ssrc;
            if !self
                .numbers
                .iter()
                .any(|n| n.transport == transport && n.ssrc == ssrc)
            {
                self.numbers.push(SinkNumbers {
                    transport,
                    ssrc,
                    last: None,
                });
            }
        }
        self.sinks.extend(added);
        let _ = self.request_key_frame(publisher);
        Ok(())
    }

    /// Holds back or lets pass one kind of media; resumed video waits for a key frame.
    pub fn set_sink_forwarding(
        &mut self,
        subscriber: SubscriberHandle,
        kind: MediaKind,
        forwarding: bool,
    ) -> Result<(), ForwardError> {
        let mut publisher = None;
        for sink in self.sinks.iter_mut().filter(|s| s.subscriber == subscriber) {
            publisher = Some(sink.publisher);
            if sink.kind == kind && sink.forwarding != forwarding {
                sink.forwarding = forwarding;
                sink.rewrite = None;
            }
        }
        let publisher = publisher.ok_or(ForwardError::UnknownHandle)?;
        if forwarding && kind == MediaKind::Video {
            self.request_key_frame(publisher)?;
        }
        Ok(())
    }

    /// Ends delivery; the numbers of its SSRCs are kept.
    pub fn unsubscribe(&mut self, subscriber: SubscriberHandle) -> Result<(), ForwardError> {
        let before = self.sinks.len();
        self.sinks.retain(|sink| sink.subscriber != subscriber);
        (self.sinks.len() < before)
            .then_some(())
            .ok_or(ForwardError::UnknownHandle)
    }

    /// Ends everything that used the transport.
    pub fn close_transport(&mut self, transport: TransportHandle) -> Result<(), ForwardError> {
        self.forget_pending();
        let sources = &mut self.sources;
        let gone = |s: &Source| s.transport == transport;
        self.sinks.retain(|sink| {
            sink.transport != transport
                && !sources
                    .iter()
                    .any(|s| gone(s) && s.publisher == sink.publisher)
        });
        sources.retain(|source| !gone(source));
        self.numbers
            .retain(|numbers| numbers.transport != transport);
        Ok(())
    }

    /// Takes a decrypted packet; `flush` forwards it.
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
        let (index, encoding) =
            find_stream(&self.sources, transport, &packet).ok_or(DropReason::UnknownStream)?;
        let source = &mut self.sources[index];
        if packet.payload_type != source.parameters.payload_type {
            return Err(DropReason::PayloadType);
        }
        if packet.payload.is_empty() {
            return Err(DropReason::PaddingOnly);
        }
        source.encodings[encoding].ssrc = Some(packet.ssrc);
        if !source.forwarding {
            return Err(DropReason::SourceMuted);
        }
        let codec = source.parameters.codec;
        let mark = frame_mark(codec, packet.payload).ok_or(DropReason::Malformed)?;
        if self.access == PayloadAccess::Opaque {
            if mark.starts_frame {
                let kids = &source.parameters.declared_kids;
                source.encodings[encoding].sealed = is_sealed(codec, packet.payload, kids);
            }
            if !source.encodings[encoding].sealed {
                source.unsealed_packets += 1;
                return Err(DropReason::NotEncrypted);
            }
        }
        if self.pending.len() >= MAX_PENDING_PACKETS {
            return Err(DropReason::Overflow);
        }
        let start = self.arena.len();
        self.arena.extend_from_slice(bytes);
        self.pending.push(Pending {
            publisher: source.publisher,
            source_mid_index: index,
            encoding,
            starts: mark.key_frame,
            taken: now,
            start,
            end: self.arena.len(),
        });
        Ok(())
    }

    /// Forwards what was taken, subscriber by subscriber, then reports and asks for key frames.
    pub fn flush(&mut self, now: Instant, out: &mut impl Outbox) {
        for sink in &mut self.sinks {
            let publisher = sink.publisher;
            let numbers = self.numbers.iter_mut();
            let ssrc = sink.parameters.ssrc;
            let Some(numbers) = numbers
                .into_iter()
                .find(|n| n.transport == sink.transport && n.ssrc == ssrc)
            else {
                continue;
            };
            for pending in self.pending.iter().filter(|p| p.publisher == publisher) {
                let source = &mut self.sources[pending.source_mid_index];
                if source.parameters.mid != sink.parameters.source_mid {
                    continue;
                }
                let Ok(packet) = RtpPacket::parse(&self.arena[pending.start..pending.end]) else {
                    continue;
                };
                match admit(sink, numbers, pending, &packet) {
                    Ok(fields) => {
                        self.header.clear();
                        write_sink_header(&mut self.header, source, sink, fields, &packet);
                        out.rtp(sink.transport, &self.header, packet.payload);
                        self.counters.rtp_forwarded += 1;
                    }
                    Err(reason) => {
                        let waits = reason == DropReason::AwaitingKeyFrame;
                        source.encodings[pending.encoding].wants_key_frame |= waits;
                        self.counters.drop_packet(reason);
                    }
                }
            }
        }
        for pending in &self.pending {
            let source = &mut self.sources[pending.source_mid_index];
            let encoding = &mut source.encodings[pending.encoding];
            if !std::mem::replace(&mut encoding.active, true) {
                let (mid, rid) = (source.parameters.mid.clone(), encoding.rid.clone());
                out.event(ForwardEvent::SourceActive {
                    publisher: source.publisher,
                    mid,
                    rid,
                });
            }
        }
        self.forget_pending();
        self.report(now, out);
    }

    fn forget_pending(&mut self) {
        self.pending.clear();
        self.arena.clear();
    }

    fn report(&mut self, now: Instant, out: &mut impl Outbox) {
        let is_due = |last: Option<Instant>, interval| {
            last.is_none_or(|last| now.saturating_duration_since(last) >= interval)
        };
        for source in &mut self.sources {
            if source.unsealed_packets > 0 && is_due(source.reported, REPORT_INTERVAL) {
                let packets = std::mem::take(&mut source.unsealed_packets);
                source.reported = Some(now);
                let (publisher, mid) = (source.publisher, source.parameters.mid.clone());
                out.event(ForwardEvent::NotEncrypted {
                    publisher,
                    mid,
                    packets,
                });
            }
            for encoding in &mut source.encodings {
                let (true, Some(ssrc)) = (encoding.wants_key_frame, encoding.ssrc) else {
                    continue;
                };
                if is_due(encoding.key_frame_asked, self.settings.key_frame_interval) {
                    encoding.wants_key_frame = false;
                    encoding.key_frame_asked = Some(now);
                    self.counters.plis_sent += 1;
                    out.rtcp(source.transport, &write_pli(1, ssrc));
                }
            }
        }
    }

    /// Takes RTCP: key-frame requests of subscribers go on to the publisher, coalesced.
    pub fn handle_rtcp(
        &mut self,
        now: Instant,
        transport: TransportHandle,
        compound: &[u8],
        out: &mut impl Outbox,
    ) {
        for packet in packets(compound) {
            for ssrc in packet.pli_target().into_iter().chain(packet.fir_targets()) {
                self.counters.plis_received += 1;
                self.want_key_frame(transport, ssrc);
            }
        }
        self.report(now, out);
    }

    /// When `handle_timeout` is due: a wanted key frame may be asked for again.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let encodings = self.sources.iter().flat_map(|source| &source.encodings);
        let waiting = encodings.filter(|e| e.wants_key_frame && e.ssrc.is_some());
        waiting
            .filter_map(|e| {
                e.key_frame_asked
                    .map(|at| at + self.settings.key_frame_interval)
            })
            .min()
    }

    /// Sends what became due.
    pub fn handle_timeout(&mut self, now: Instant, out: &mut impl Outbox) {
        self.report(now, out);
    }

    fn want_key_frame(&mut self, transport: TransportHandle, ssrc: u32) {
        let asking = |s: &&Sink| s.transport == transport && s.parameters.ssrc == ssrc;
        let Some(sink) = self.sinks.iter().find(asking) else {
            return;
        };
        if !sink.forwarding || sink.kind != MediaKind::Video {
            return;
        }
        let chosen = sink.rewrite.map(|rewrite| rewrite.encoding);
        let (publisher, mid) = (sink.publisher, sink.parameters.source_mid.clone());
        if let Ok(source) = self.source(publisher, &mid) {
            for (index, encoding) in source.encodings.iter_mut().enumerate() {
                encoding.wants_key_frame |= chosen.is_none_or(|chosen| chosen == index);
            }
        }
    }

    fn source(
        &mut self,
        publisher: PublisherHandle,
        mid: &str,
    ) -> Result<&mut Source, ForwardError> {
        let wanted = |s: &&mut Source| s.publisher == publisher && s.parameters.mid == mid;
        self.sources
            .iter_mut()
            .find(wanted)
            .ok_or(ForwardError::UnknownHandle)
    }
}

fn new_encoding(parameters: &crate::parameters::EncodingParameters) -> Encoding {
    Encoding {
        ssrc: parameters.ssrc,
        rid: parameters.rid.clone(),
        active: false,
        sealed: false,
        wants_key_frame: false,
        key_frame_asked: None,
    }
}

fn conflicts(other: &SourceParameters, source: &SourceParameters) -> bool {
    let ssrcs = |s: &SourceParameters| -> Vec<u32> {
        s.encodings
            .iter()
            .flat_map(|e| [e.ssrc, e.rtx_ssrc])
            .flatten()
            .collect()
    };
    let taken = ssrcs(other);
    other.mid == source.mid || ssrcs(source).iter().any(|ssrc| taken.contains(ssrc))
}

fn extension<'a>(source: &Source, packet: &RtpPacket<'a>, wanted: Extension) -> Option<&'a [u8]> {
    let id = source
        .parameters
        .extensions
        .0
        .iter()
        .find(|(kind, _)| *kind == wanted)?
        .1;
    packet
        .extensions()
        .find(|(found, _)| *found == id)
        .map(|(_, value)| value)
}

/// By SSRC, else by MID and RID, else by a payload type that one source alone has.
fn find_stream(
    sources: &[Source],
    transport: TransportHandle,
    packet: &RtpPacket<'_>,
) -> Option<(usize, usize)> {
    let own = || {
        sources
            .iter()
            .enumerate()
            .filter(|(_, s)| s.transport == transport)
    };
    for (index, source) in own() {
        if let Some(at) = source
            .encodings
            .iter()
            .position(|e| e.ssrc == Some(packet.ssrc))
        {
            return Some((index, at));
        }
    }
    let named = own()
        .find(|(_, s)| extension(s, packet, Extension::Mid) == Some(s.parameters.mid.as_bytes()));
    let (index, source) = named.or_else(|| {
        let mut same = own().filter(|(_, s)| s.parameters.payload_type == packet.payload_type);
        let only = same.next()?;
        same.next().is_none().then_some(only)
    })?;
    let rid = extension(source, packet, Extension::Rid);
    let is_free = |e: &Encoding| e.ssrc.is_none() && e.rid.as_deref().map(str::as_bytes) == rid;
    Some((index, source.encodings.iter().position(is_free)?))
}

/// Decides whether a sink gets a packet, and with which numbers.
fn admit(
    sink: &mut Sink,
    numbers: &mut SinkNumbers,
    pending: &Pending,
    packet: &RtpPacket<'_>,
) -> Result<HeaderFields, DropReason> {
    if !sink.forwarding {
        return Err(DropReason::Paused);
    }
    let rewrite = match sink.rewrite {
        Some(rewrite) if rewrite.encoding == pending.encoding => rewrite,
        Some(_) => return Err(DropReason::OtherEncoding),
        None if sink.kind == MediaKind::Video && !pending.starts => {
            return Err(DropReason::AwaitingKeyFrame);
        }
        None => {
            let (sequence, timestamp) = match numbers.last {
                None => (packet.sequence, packet.timestamp),
                Some((sequence, timestamp, at)) => {
                    let elapsed_us = pending.taken.saturating_duration_since(at).as_micros() as u64;
                    let ticks =
                        elapsed_us.saturating_mul(u64::from(sink.clock_rate_hz)) / 1_000_000;
                    (
                        sequence.wrapping_add(1),
                        timestamp.wrapping_add(ticks.max(1) as u32),
                    )
                }
            };
            Rewrite {
                encoding: pending.encoding,
                sequence_offset: sequence.wrapping_sub(packet.sequence),
                timestamp_offset: timestamp.wrapping_sub(packet.timestamp),
            }
        }
    };
    sink.rewrite = Some(rewrite);
    let sequence = packet.sequence.wrapping_add(rewrite.sequence_offset);
    let timestamp = packet.timestamp.wrapping_add(rewrite.timestamp_offset);
    if numbers
        .last
        .is_none_or(|(last, ..)| sequence.wrapping_sub(last) < 0x8000)
    {
        numbers.last = Some((sequence, timestamp, pending.taken));
    }
    let (payload_type, ssrc) = (sink.parameters.payload_type, sink.parameters.ssrc);
    Ok(HeaderFields {
        marker: packet.marker,
        payload_type,
        sequence,
        timestamp,
        ssrc,
    })
}

fn write_sink_header(
    header: &mut Vec<u8>,
    source: &Source,
    sink: &Sink,
    fields: HeaderFields,
    packet: &RtpPacket<'_>,
) {
    let (from, to) = (
        &source.parameters.extensions.0,
        &sink.parameters.extensions.0,
    );
    let mid_id = to
        .iter()
        .find(|(kind, _)| *kind == Extension::Mid)
        .map(|(_, id)| *id);
    let mid = mid_id.map(|id| (id, sink.parameters.mid.as_bytes()));
    let mapped = packet.extensions().filter_map(|(id, value)| {
        let kind = from.iter().find(|(_, known)| *known == id)?.0;
        if matches!(
            kind,
            Extension::Mid
                | Extension::Rid
                | Extension::RepairedRid
                | Extension::AbsSendTime
                | Extension::TransportCc
        ) {
            return None;
        }
        to.iter()
            .find(|(wanted, _)| *wanted == kind)
            .map(|(_, id)| (*id, value))
    });
    write_header(header, fields, mid.into_iter().chain(mapped));
}
