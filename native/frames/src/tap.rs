//! The reader's end of a tap: records in, frames and what happened between them out.

use std::collections::VecDeque;

use foldhash::{HashMap, HashMapExt};
use sealroute_rtp::RtpPacket;
use sealroute_rtp::rtcp::{Compound, RtcpPacket, write_pli};
use sealroute_rtp::tap_record::{Record, RecordHeader, RecordKind};

use crate::assembler::{Assembler, Frame};
use crate::codec::{Codec, Kind};
use crate::publisher_clock::PublisherClock;
use crate::tap_events::{AddedTrack, TapEvent};

/// 50 streams of audio and video, twice over; bounds what a reader holds.
const MAX_TRACKS: usize = 200;
/// The SSRC of key frame requests: the reader sends no media.
const OWN_SSRC: u32 = 1;
/// What a frame lasts is the time since the one before, but not across a pause.
const MAX_VIDEO_DURATION_US: i64 = 1_000_000;

/// What a tap gave out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// An object of the control plane, as it was written.
    Json {
        /// When it was written.
        arrival_us: u64,
        /// Not checked beyond what names tracks.
        body: Vec<u8>,
    },
    /// A frame.
    Frame {
        /// Its track.
        ssrc: u32,
        /// Of its track.
        codec: Codec,
        /// When it is shown, on the host's monotonic clock; grows within a track.
        pts_us: i64,
        /// For how long; of video, the time since the frame before, and 0 for the first.
        duration_us: u32,
        /// What is shown.
        frame: Frame,
    },
    /// Before the next frame of a track, this much is missing.
    Lost {
        /// The track.
        ssrc: u32,
        /// Lost ones, and those of frames that cannot be decoded.
        packets: u32,
        /// The end of the frame before.
        from_us: i64,
        /// The next frame, or the track's end.
        to_us: i64,
    },
    /// Nothing follows.
    End {
        /// When it was written.
        arrival_us: u64,
    },
}

/// What a tap ignored, and why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TapCounters {
    /// Datagrams that are no records, and bodies that are not what their kind says.
    pub malformed_records: u64,
    /// Packets of tracks that no record announced.
    pub unknown_tracks: u64,
    /// Tracks with a codec without a depacketizer, and those beyond the limit.
    pub refused_tracks: u64,
    /// Key frames that were requested.
    pub key_frame_requests: u64,
    /// Of all tracks.
    pub late_packets: u64,
    /// Of all tracks.
    pub lost_packets: u64,
    /// Of all tracks.
    pub refused_packets: u64,
    /// Of all tracks.
    pub incomplete_frames: u64,
    /// Of all tracks.
    pub undecodable_frames: u64,
    /// How often a publisher's clock was moved at once.
    pub clock_steps: u64,
}

impl TapCounters {
    /// Names and values.
    pub fn entries(&self) -> [(&'static str, u64); 10] {
        [
            ("malformed_records", self.malformed_records),
            ("unknown_tracks", self.unknown_tracks),
            ("refused_tracks", self.refused_tracks),
            ("key_frame_requests", self.key_frame_requests),
            ("late_packets", self.late_packets),
            ("lost_packets", self.lost_packets),
            ("refused_packets", self.refused_packets),
            ("incomplete_frames", self.incomplete_frames),
            ("undecodable_frames", self.undecodable_frames),
            ("clock_steps", self.clock_steps),
        ]
    }

    fn add_track(&mut self, assembler: &Assembler) {
        let ignored = assembler.ignored();
        self.late_packets += ignored.late_packets;
        self.lost_packets += ignored.lost_packets;
        self.refused_packets += ignored.refused_packets;
        self.incomplete_frames += ignored.incomplete_frames;
        self.undecodable_frames += ignored.undecodable_frames;
    }
}

#[derive(Debug)]
struct Track {
    stream: String,
    codec: Codec,
    assembler: Assembler,
    /// The latest frame's time, and its end.
    latest: Option<(i64, i64)>,
}

/// One tap's reader. Times are µs of the host's monotonic clock.
#[derive(Debug)]
pub struct Tap {
    hold_us: u64,
    tracks: HashMap<u32, Track>,
    clocks: HashMap<String, PublisherClock>,
    items: VecDeque<Item>,
    counters: TapCounters,
    ended: bool,
}

impl Tap {
    /// `hold_us`: how long frames wait for repairs.
    pub fn new(hold_us: u64) -> Self {
        Self {
            hold_us,
            tracks: HashMap::new(),
            clocks: HashMap::new(),
            items: VecDeque::new(),
            counters: TapCounters::default(),
            ended: false,
        }
    }

    /// Takes one datagram. Take what is ready with `poll` before the next.
    pub fn handle_record(&mut self, now_us: u64, datagram: &[u8]) {
        let Ok(record) = Record::parse(datagram) else {
            self.counters.malformed_records += 1;
            return;
        };
        let header = record.header;
        match header.kind {
            _ if self.ended => {}
            RecordKind::Rtp => self.handle_rtp(now_us, header, record.body),
            RecordKind::Rtcp => self.handle_rtcp(header, record.body),
            RecordKind::Json => self.handle_json(now_us, header, record.body),
            RecordKind::Lost => match (self.tracks.get_mut(&header.ssrc), record.lost()) {
                (Some(track), Some(packets)) => track.assembler.handle_lost(packets),
                (None, Some(_)) => self.counters.unknown_tracks += 1,
                (_, None) => self.counters.malformed_records += 1,
            },
            RecordKind::End => self.handle_end(now_us, header.arrival_us),
            RecordKind::Feedback | RecordKind::Publish => self.counters.malformed_records += 1,
        }
    }

    /// The tap's other end is gone, or has nothing more: gives out what is held, then an end.
    pub fn handle_end(&mut self, now_us: u64, arrival_us: u64) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        self.finish(now_us);
        self.items.push_back(Item::End { arrival_us });
    }

    /// Gives out what is held, without waiting for repairs.
    pub fn finish(&mut self, now_us: u64) {
        let mut all: Vec<u32> = self.tracks.keys().copied().collect();
        all.sort_unstable();
        for ssrc in all {
            self.flush(now_us, ssrc);
        }
    }

    /// The next item.
    pub fn poll(&mut self) -> Option<Item> {
        self.items.pop_front()
    }

    /// Ends the waits that are over at `now_us`.
    pub fn handle_timeout(&mut self, now_us: u64) {
        let is_due = |track: &Track| {
            track
                .assembler
                .poll_timeout()
                .is_some_and(|at| at <= now_us)
        };
        let tracks = self.tracks.iter().filter(|(_, track)| is_due(track));
        let mut due: Vec<u32> = tracks.map(|(&ssrc, _)| ssrc).collect();
        due.sort_unstable();
        for ssrc in due {
            self.collect(now_us, ssrc);
        }
    }

    /// When to call `handle_timeout`.
    pub fn poll_timeout(&self) -> Option<u64> {
        let tracks = self.tracks.values();
        tracks
            .filter_map(|track| track.assembler.poll_timeout())
            .min()
    }

    /// The next record for the media core: a request for a key frame.
    pub fn poll_transmit(&mut self, now_us: u64) -> Option<Vec<u8>> {
        let wants = |(&ssrc, track): (&u32, &mut Track)| {
            track.assembler.wants_key_frame(now_us).then_some(ssrc)
        };
        let ssrc = self.tracks.iter_mut().find_map(wants)?;
        self.counters.key_frame_requests += 1;
        let header = RecordHeader {
            kind: RecordKind::Feedback,
            ssrc,
            arrival_us: now_us,
        };
        let mut record = header.to_bytes().to_vec();
        write_pli(&mut record, OWN_SSRC, ssrc);
        Some(record)
    }

    /// What was ignored so far.
    pub fn counters(&self) -> TapCounters {
        let mut counters = self.counters;
        for track in self.tracks.values() {
            counters.add_track(&track.assembler);
        }
        for clock in self.clocks.values() {
            counters.clock_steps += clock.steps();
        }
        counters
    }

    fn handle_rtp(&mut self, now_us: u64, header: RecordHeader, body: &[u8]) {
        let Ok(packet) = RtpPacket::parse(body) else {
            self.counters.malformed_records += 1;
            return;
        };
        let Some(track) = self.tracks.get_mut(&header.ssrc) else {
            self.counters.unknown_tracks += 1;
            return;
        };
        if let Some(clock) = self.clocks.get_mut(&track.stream)
            && !packet.payload().is_empty()
        {
            clock.handle_arrival(header.arrival_us, track.codec.kind(), packet.timestamp());
        }
        let arrival_us = header.arrival_us;
        track.assembler.handle_packet(now_us, arrival_us, &packet);
        self.collect(now_us, header.ssrc);
    }

    fn handle_rtcp(&mut self, header: RecordHeader, body: &[u8]) {
        for packet in Compound::new(body) {
            let RtcpPacket::SenderReport { ssrc, info, .. } = packet else {
                continue;
            };
            let Some(track) = self.tracks.get(&ssrc) else {
                self.counters.unknown_tracks += 1;
                continue;
            };
            if let Some(clock) = self.clocks.get_mut(&track.stream) {
                clock.handle_report(header.arrival_us, track.codec.kind(), &info);
            }
        }
    }

    /// Learns the tracks of a stream that was added before this reader was there.
    pub fn learn(&mut self, body: &[u8]) {
        match serde_json::from_slice(body) {
            Ok(TapEvent::StreamAdded { stream, tracks }) => self.add_stream(&stream, &tracks),
            _ => self.counters.malformed_records += 1,
        }
    }

    fn handle_json(&mut self, now_us: u64, header: RecordHeader, body: &[u8]) {
        match serde_json::from_slice(body) {
            Ok(TapEvent::StreamAdded { stream, tracks }) => self.add_stream(&stream, &tracks),
            Ok(TapEvent::StreamRemoved { stream }) => self.remove_stream(now_us, &stream),
            Ok(TapEvent::Other) => {}
            Err(_) => {
                self.counters.malformed_records += 1;
                return;
            }
        }
        self.items.push_back(Item::Json {
            arrival_us: header.arrival_us,
            body: body.to_vec(),
        });
    }

    fn add_stream(&mut self, stream: &str, tracks: &[AddedTrack]) {
        let rate = |kind: Kind, otherwise: u32| {
            let of_kind = |track: &&AddedTrack| track.codec().map(Codec::kind) == Some(kind);
            tracks
                .iter()
                .find(of_kind)
                .map_or(otherwise, |track| track.clock_rate)
        };
        let clock = PublisherClock::new(rate(Kind::Audio, 48_000), rate(Kind::Video, 90_000));
        let mut added = false;
        for track in tracks {
            if self.tracks.contains_key(&track.ssrc) {
                // A reader may have learned of it before its record came.
                continue;
            }
            let Some(codec) = track.codec().filter(|_| self.tracks.len() < MAX_TRACKS) else {
                self.counters.refused_tracks += 1;
                continue;
            };
            added = true;
            let track_of = Track {
                stream: stream.to_owned(),
                codec,
                assembler: Assembler::new(codec, self.hold_us, track.extension_ids()),
                latest: None,
            };
            self.tracks.insert(track.ssrc, track_of);
        }
        if added {
            self.clocks.entry(stream.to_owned()).or_insert(clock);
        }
    }

    fn remove_stream(&mut self, now_us: u64, stream: &str) {
        let of_stream = |(ssrc, track): (&u32, &Track)| (track.stream == stream).then_some(*ssrc);
        let mut gone: Vec<u32> = self.tracks.iter().filter_map(of_stream).collect();
        gone.sort_unstable();
        for ssrc in gone {
            self.flush(now_us, ssrc);
            if let Some(track) = self.tracks.remove(&ssrc) {
                self.counters.add_track(&track.assembler);
            }
        }
        if let Some(clock) = self.clocks.remove(stream) {
            self.counters.clock_steps += clock.steps();
        }
    }

    /// Gives out all of a track, and what is missing at its end.
    fn flush(&mut self, now_us: u64, ssrc: u32) {
        if let Some(track) = self.tracks.get_mut(&ssrc) {
            track.assembler.finish();
        }
        self.collect(now_us, ssrc);
        let Some(track) = self.tracks.get_mut(&ssrc) else {
            return;
        };
        let packets = track.assembler.take_lost();
        if let Some((_, from_us)) = track.latest
            && packets > 0
        {
            let to_us = from_us.max(now_us as i64);
            self.items.push_back(Item::Lost {
                ssrc,
                packets,
                from_us,
                to_us,
            });
        }
    }

    fn collect(&mut self, now_us: u64, ssrc: u32) {
        let Some(track) = self.tracks.get_mut(&ssrc) else {
            return;
        };
        let clock = self.clocks.get(&track.stream);
        while let Some(frame) = track.assembler.poll(now_us) {
            let kind = track.codec.kind();
            let placed = clock.and_then(|clock| clock.session_us(kind, frame.timestamp));
            track.give_out(ssrc, frame, placed, &mut self.items);
        }
    }
}

impl Track {
    fn give_out(
        &mut self,
        ssrc: u32,
        frame: Frame,
        placed_us: Option<i64>,
        items: &mut VecDeque<Item>,
    ) {
        let placed_us = placed_us.unwrap_or(frame.arrival_us as i64);
        let pts_us = self.latest.map_or(placed_us, |(before_us, _)| {
            placed_us.max(before_us.saturating_add(1))
        });
        if let Some((_, from_us)) = self.latest
            && frame.lost_before > 0
        {
            items.push_back(Item::Lost {
                ssrc,
                packets: frame.lost_before,
                from_us: from_us.min(pts_us),
                to_us: pts_us,
            });
        }
        let since_us = self
            .latest
            .map_or(0, |(before_us, _)| pts_us.saturating_sub(before_us));
        let duration_us = frame
            .duration_us
            .unwrap_or(since_us.min(MAX_VIDEO_DURATION_US) as u32);
        self.latest = Some((pts_us, pts_us.saturating_add(duration_us.into())));
        items.push_back(Item::Frame {
            ssrc,
            codec: self.codec,
            pts_us,
            duration_us,
            frame,
        });
    }
}
