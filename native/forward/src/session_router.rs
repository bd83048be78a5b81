//! Forwarding state of one session: commands and packets in, rewritten packets out.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use sealroute_rtp::rtcp::{
    Compound, LostSequences, ReportBlocks, RtcpPacket, write_nack, write_pli,
};
use sealroute_rtp::{RtpPacket, Sequence};
use serde_json::{Value, json};
use slab::Slab;

use crate::counters::ForwardCounters;
use crate::drop_reason::DropReason;
use crate::dump;
use crate::extensions::value_of;
use crate::outbox::{ForwardEvent, Outbox};
use crate::parameters::{
    Extension, Kid, LayerWish, MediaKind, PayloadAccess, PublisherHandle, SinkParameters,
    SourceParameters, SubscriberHandle, TransportHandle,
};
use crate::reports::{OWN_SSRC, REPORT_INTERVAL, handle_block, write_for_sink, write_reception};
use crate::rewriter::Rewriter;
use crate::sink::{Sink, SinkPlace};
use crate::source::Source;

/// Numbers of one NACK packet that are looked at: more do not fit a second of video.
const MAX_NACKED: usize = 512;
/// SSRCs that a source may change to without a new offer.
const MAX_LATCHES: u8 = 16;

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

/// Why a command was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForwardError {
    /// No such publisher, subscriber or source.
    UnknownHandle,
    /// The handle is in use.
    HandleTaken,
    /// Another source or sink of the transport has this SSRC, MID or RID.
    Conflict,
    /// The parameters contradict themselves.
    Invalid,
}

impl ForwardError {
    /// Stable text for `CommandFailed`.
    pub fn name(self) -> &'static str {
        match self {
            Self::UnknownHandle => "unknown_handle",
            Self::HandleTaken => "handle_taken",
            Self::Conflict => "conflict",
            Self::Invalid => "invalid",
        }
    }
}

/// Which RtpStream an SSRC of a transport is.
#[derive(Clone, Copy, Debug)]
struct Route {
    source: usize,
    encoding: usize,
    retransmission: bool,
}

type BySsrc<T> = HashMap<(TransportHandle, u32), T, foldhash::fast::RandomState>;

/// Forwards among the clients of one session. Owner: the worker thread.
pub struct SessionRouter {
    access: PayloadAccess,
    settings: ForwardSettings,
    sources: Slab<Source>,
    sinks: Slab<Sink>,
    publishers: HashMap<PublisherHandle, Vec<usize>>,
    subscribers: HashMap<SubscriberHandle, Vec<usize>>,
    routes: BySsrc<Route>,
    sink_ssrcs: BySsrc<usize>,
    /// Numbers of SSRCs that no sink uses at the moment.
    parked: BySsrc<Rewriter>,
    latches: HashMap<TransportHandle, u8>,
    /// Keys of sources with pending packets.
    dirty: Vec<usize>,
    next_report: Option<Instant>,
    lost: Vec<Sequence>,
    compound: Vec<u8>,
    counters: ForwardCounters,
}

impl SessionRouter {
    /// An empty session.
    pub fn new(access: PayloadAccess, settings: ForwardSettings) -> Self {
        Self {
            access,
            settings,
            sources: Slab::new(),
            sinks: Slab::new(),
            publishers: HashMap::new(),
            subscribers: HashMap::new(),
            routes: HashMap::default(),
            sink_ssrcs: HashMap::default(),
            parked: HashMap::default(),
            latches: HashMap::new(),
            dirty: Vec::new(),
            next_report: None,
            lost: Vec::new(),
            compound: Vec::new(),
            counters: ForwardCounters::default(),
        }
    }

    /// Totals since start.
    pub fn counters(&self) -> &ForwardCounters {
        &self.counters
    }

    /// Everything known of the session.
    pub fn dump(&self) -> Value {
        json!({
            "access": format!("{:?}", self.access).to_lowercase(),
            "sources": self.sources.iter().map(|(_, source)| dump::source(source)).collect::<Vec<_>>(),
            "sinks": self.sinks.iter().map(|(_, sink)| dump::sink(sink)).collect::<Vec<_>>(),
            "counters": dump::counters(&self.counters),
        })
    }

    // --- commands -------------------------------------------------------------------------

    /// Adds a publisher's sources; all or none.
    pub fn publish(
        &mut self,
        now: Instant,
        publisher: PublisherHandle,
        transport: TransportHandle,
        sources: Vec<SourceParameters>,
    ) -> Result<(), ForwardError> {
        if self.publishers.contains_key(&publisher) {
            return Err(ForwardError::HandleTaken);
        }
        self.check_sources(transport, &sources)?;
        let mut keys = Vec::with_capacity(sources.len());
        for parameters in sources {
            let source = Source::new(self.access, publisher, transport, parameters);
            let key = self.sources.insert(source);
            for (encoding, stream) in self.sources[key].encodings.iter().enumerate() {
                let declared = [
                    (stream.parameters.ssrc, false),
                    (stream.parameters.rtx_ssrc, true),
                ];
                for (ssrc, retransmission) in declared {
                    if let Some(ssrc) = ssrc {
                        let route = Route {
                            source: key,
                            encoding,
                            retransmission,
                        };
                        self.routes.insert((transport, ssrc), route);
                    }
                }
            }
            keys.push(key);
        }
        self.publishers.insert(publisher, keys);
        self.next_report.get_or_insert(now + REPORT_INTERVAL);
        Ok(())
    }

    fn check_sources(
        &self,
        transport: TransportHandle,
        sources: &[SourceParameters],
    ) -> Result<(), ForwardError> {
        let mut ssrcs = Vec::new();
        for (index, source) in sources.iter().enumerate() {
            if source.encodings.is_empty() || source.clock_rate_hz == 0 {
                return Err(ForwardError::Invalid);
            }
            let same_mid = |other: &SourceParameters| other.mid == source.mid;
            let present = self
                .sources
                .iter()
                .filter(|(_, other)| other.transport == transport);
            if sources[..index].iter().any(same_mid)
                || present
                    .into_iter()
                    .any(|(_, other)| same_mid(&other.parameters))
            {
                return Err(ForwardError::Conflict);
            }
            for (position, encoding) in source.encodings.iter().enumerate() {
                let earlier = &source.encodings[..position];
                if encoding.rid.is_some() && earlier.iter().any(|e| e.rid == encoding.rid) {
                    return Err(ForwardError::Conflict);
                }
                for ssrc in [encoding.ssrc, encoding.rtx_ssrc].into_iter().flatten() {
                    if ssrcs.contains(&ssrc) || self.routes.contains_key(&(transport, ssrc)) {
                        return Err(ForwardError::Conflict);
                    }
                    ssrcs.push(ssrc);
                }
            }
        }
        Ok(())
    }

    /// Replaces the key ids that the seal guard accepts.
    pub fn declare_kids(
        &mut self,
        publisher: PublisherHandle,
        mid: &str,
        kids: Vec<Kid>,
    ) -> Result<(), ForwardError> {
        let key = self.source_key(publisher, mid)?;
        self.sources[key].guard.declare(kids);
        Ok(())
    }

    /// Mutes or unmutes a source. Afterwards its receivers begin anew.
    pub fn set_source_forwarding(
        &mut self,
        publisher: PublisherHandle,
        mid: &str,
        forwarding: bool,
    ) -> Result<(), ForwardError> {
        let key = self.source_key(publisher, mid)?;
        let source = &mut self.sources[key];
        if source.forwarding != forwarding {
            source.forwarding = forwarding;
            for &sink in &source.sinks {
                self.sinks[sink].restart();
            }
        }
        Ok(())
    }

    /// Wants a key frame on every video encoding; publishers are asked at the next timeout.
    pub fn request_key_frame(&mut self, publisher: PublisherHandle) -> Result<(), ForwardError> {
        let keys = self
            .publishers
            .get(&publisher)
            .ok_or(ForwardError::UnknownHandle)?;
        for &key in keys {
            self.sources[key].want_key_frame(None);
        }
        Ok(())
    }

    /// Ends a publisher and every sink that it feeds. Packets not flushed yet are gone.
    pub fn unpublish(&mut self, publisher: PublisherHandle) -> Result<(), ForwardError> {
        let keys = self
            .publishers
            .remove(&publisher)
            .ok_or(ForwardError::UnknownHandle)?;
        for key in keys {
            let source = self.sources.remove(key);
            for _ in &source.pending {
                self.counters.drop_packet(DropReason::NoSubscriber);
            }
            self.dirty.retain(|&dirty| dirty != key);
            for sink in source.sinks {
                self.remove_sink(sink);
            }
            self.routes.retain(|_, route| route.source != key);
        }
        Ok(())
    }

    /// Starts delivery of a publisher to a transport; all sinks or none.
    pub fn subscribe(
        &mut self,
        now: Instant,
        subscriber: SubscriberHandle,
        publisher: PublisherHandle,
        transport: TransportHandle,
        sinks: &[SinkParameters],
    ) -> Result<(), ForwardError> {
        if self.subscribers.contains_key(&subscriber) {
            return Err(ForwardError::HandleTaken);
        }
        let mut sources = Vec::with_capacity(sinks.len());
        for (index, parameters) in sinks.iter().enumerate() {
            let taken = self.sink_ssrcs.contains_key(&(transport, parameters.ssrc));
            if taken
                || sinks[..index]
                    .iter()
                    .any(|other| other.ssrc == parameters.ssrc)
            {
                return Err(ForwardError::Conflict);
            }
            sources.push(self.source_key(publisher, &parameters.source_mid)?);
        }
        let mut keys = Vec::with_capacity(sinks.len());
        for (parameters, source) in sinks.iter().zip(sources) {
            let ssrc = parameters.ssrc;
            let numbers = self
                .parked
                .remove(&(transport, ssrc))
                .unwrap_or_else(Rewriter::new);
            let place = SinkPlace {
                subscriber,
                transport,
                source,
            };
            let sink = Sink::new(place, &self.sources[source], parameters.clone(), numbers);
            let key = self.sinks.insert(sink);
            self.sink_ssrcs.insert((transport, ssrc), key);
            self.sources[source].sinks.push(key);
            self.sources[source].want_key_frame(None);
            keys.push(key);
        }
        self.subscribers.insert(subscriber, keys);
        self.next_report.get_or_insert(now + REPORT_INTERVAL);
        Ok(())
    }

    /// Holds back or lets pass one kind of media; resumed video waits for a key frame.
    pub fn set_sink_forwarding(
        &mut self,
        subscriber: SubscriberHandle,
        kind: MediaKind,
        forwarding: bool,
    ) -> Result<(), ForwardError> {
        let keys = self
            .subscribers
            .get(&subscriber)
            .ok_or(ForwardError::UnknownHandle)?;
        for &key in keys {
            let sink = &mut self.sinks[key];
            if sink.kind == kind && sink.forwarding != forwarding {
                sink.forwarding = forwarding;
                sink.restart();
                if forwarding {
                    self.sources[sink.source].want_key_frame(None);
                }
            }
        }
        Ok(())
    }

    /// What a subscriber wants at most.
    pub fn set_layer_wish(
        &mut self,
        subscriber: SubscriberHandle,
        wish: LayerWish,
    ) -> Result<(), ForwardError> {
        let keys = self
            .subscribers
            .get(&subscriber)
            .ok_or(ForwardError::UnknownHandle)?;
        for &key in keys {
            self.sinks[key].wish = wish;
        }
        Ok(())
    }

    /// Ends delivery. The numbers of its SSRCs are kept while the transport lives.
    pub fn unsubscribe(&mut self, subscriber: SubscriberHandle) -> Result<(), ForwardError> {
        let keys = self
            .subscribers
            .remove(&subscriber)
            .ok_or(ForwardError::UnknownHandle)?;
        for key in keys {
            self.remove_sink(key);
        }
        Ok(())
    }

    fn remove_sink(&mut self, key: usize) {
        let Some(sink) = self.sinks.try_remove(key) else {
            return;
        };
        let ssrc = (sink.transport, sink.parameters.ssrc);
        self.sink_ssrcs.remove(&ssrc);
        self.parked.insert(ssrc, sink.rewriter);
        if let Some(source) = self.sources.get_mut(sink.source) {
            source.sinks.retain(|&other| other != key);
        }
        if let Some(keys) = self.subscribers.get_mut(&sink.subscriber) {
            keys.retain(|&other| other != key);
        }
    }

    /// Ends everything that used the transport.
    pub fn close_transport(&mut self, transport: TransportHandle) -> Result<(), ForwardError> {
        let published: Vec<_> = self
            .sources
            .iter()
            .filter(|(_, source)| source.transport == transport)
            .map(|(_, source)| source.publisher)
            .collect();
        for publisher in published {
            // A publisher with two sources stands here twice.
            let _ = self.unpublish(publisher);
        }
        let sinks: Vec<_> = self
            .sinks
            .iter()
            .filter(|(_, s)| s.transport == transport)
            .map(|(k, _)| k)
            .collect();
        for key in sinks {
            self.remove_sink(key);
        }
        self.parked.retain(|&(of, _), _| of != transport);
        self.latches.remove(&transport);
        Ok(())
    }

    // --- packets --------------------------------------------------------------------------

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
        if source.pending.is_empty() {
            self.dirty.push(route.source);
        }
        if route.retransmission {
            source.take_retransmission(now, route.encoding, &packet)
        } else {
            source.take(now, route.encoding, &packet)
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
        let has_mid = |source: &Source| {
            value_of(&source.ids, packet, Extension::Mid) == Some(source.parameters.mid.as_bytes())
        };
        let named = own().find(|(_, source)| has_mid(source));
        let payload_type = packet.payload_type();
        let (key, source) = named.or_else(|| {
            let mut same = own().filter(|(_, s)| s.parameters.payload_type == payload_type);
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
    }

    fn flush_source(&mut self, now: Instant, key: usize, out: &mut impl Outbox) {
        let Some(source) = self.sources.get_mut(key) else {
            return;
        };
        announce(source, now, out);
        if source.sinks.is_empty() {
            for _ in &source.pending {
                self.counters.drop_packet(DropReason::NoSubscriber);
            }
        }
        let sinks = std::mem::take(&mut source.sinks);
        for &sink in &sinks {
            let sink = &mut self.sinks[sink];
            sink.forward(now, source, &mut self.counters, out);
            if sink.wants_report {
                self.compound.clear();
                if write_for_sink(now, sink, source, &mut self.compound) {
                    out.rtcp(sink.transport, &self.compound);
                }
            }
        }
        source.sinks = sinks;
        source.pending.clear();
        self.ask_publisher(now, key, out);
    }

    /// Asks for lost packets and wanted key frames that are due.
    fn ask_publisher(&mut self, now: Instant, key: usize, out: &mut impl Outbox) {
        let source = &mut self.sources[key];
        self.compound.clear();
        for stream in &mut source.encodings {
            let Some(ssrc) = stream.parameters.ssrc else {
                continue;
            };
            self.lost.clear();
            stream.nack.poll(now, &mut self.lost);
            if !self.lost.is_empty() {
                self.counters.nacks_sent += self.lost.len() as u64;
                write_nack(&mut self.compound, OWN_SSRC, ssrc, &self.lost);
            }
            if stream.requests.poll(now, self.settings.key_frame_interval) {
                self.counters.plis_sent += 1;
                write_pli(&mut self.compound, OWN_SSRC, ssrc);
            }
        }
        if !self.compound.is_empty() {
            out.rtcp(source.transport, &self.compound);
        }
    }

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
                    if let Some(&route) = self.routes.get(&(transport, ssrc)) {
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
                    self.handle_key_frame_request(now, transport, media_ssrc, out);
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
        for block in reports {
            if let Some(&key) = self.sink_ssrcs.get(&(transport, block.ssrc)) {
                handle_block(now, &mut self.sinks[key], block);
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
        for sequence in lost.take(MAX_NACKED) {
            self.counters.nacks_received += 1;
            match sink.resend(now, sequence.0, source, out) {
                Ok(()) => self.counters.rtx_sent += 1,
                Err(reason) => self.counters.drop_packet(reason),
            }
        }
    }

    fn handle_key_frame_request(
        &mut self,
        now: Instant,
        transport: TransportHandle,
        media_ssrc: u32,
        out: &mut impl Outbox,
    ) {
        self.counters.plis_received += 1;
        let Some(&key) = self.sink_ssrcs.get(&(transport, media_ssrc)) else {
            return;
        };
        let sink = &mut self.sinks[key];
        if sink.kind == MediaKind::Video && sink.forwarding && sink.budget.take(now) {
            let (source, current) = (sink.source, sink.current);
            self.sources[source].want_key_frame(current);
            self.ask_publisher(now, source, out);
        }
    }

    // --- time -----------------------------------------------------------------------------

    /// When `handle_timeout` is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let interval = self.settings.key_frame_interval;
        let asks = self
            .sources
            .iter()
            .flat_map(|(_, source)| &source.encodings)
            .flat_map(|stream| {
                [
                    stream.nack.poll_timeout(),
                    stream.requests.poll_timeout(interval),
                ]
            });
        asks.chain([self.next_report]).flatten().min()
    }

    /// Sends what became due.
    pub fn handle_timeout(&mut self, now: Instant, out: &mut impl Outbox) {
        let reports_due = self.next_report.is_some_and(|at| at <= now);
        for key in 0..self.sources.capacity() {
            if !self.sources.contains(key) {
                continue;
            }
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

    fn source_key(&self, publisher: PublisherHandle, mid: &str) -> Result<usize, ForwardError> {
        let keys = self
            .publishers
            .get(&publisher)
            .ok_or(ForwardError::UnknownHandle)?;
        keys.iter()
            .copied()
            .find(|&key| self.sources[key].parameters.mid == mid)
            .ok_or(ForwardError::UnknownHandle)
    }
}

/// Tells of RtpStreams that began, and of packets that the seal guard refused.
fn announce(source: &mut Source, now: Instant, out: &mut impl Outbox) {
    for pending in &source.pending {
        let stream = &mut source.encodings[pending.encoding];
        if !std::mem::replace(&mut stream.active, true) {
            out.event(ForwardEvent::SourceActive {
                publisher: source.publisher,
                mid: source.parameters.mid.clone(),
                rid: stream.parameters.rid.clone(),
            });
        }
    }
    if let Some(packets) = source.guard.poll_report(now) {
        out.event(ForwardEvent::NotEncrypted {
            publisher: source.publisher,
            mid: source.parameters.mid.clone(),
            packets,
        });
    }
}
