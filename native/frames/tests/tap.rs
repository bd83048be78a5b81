//! A tap's records become items, in order.
#![allow(missing_docs, clippy::expect_used, clippy::panic)]

mod support;

use sealroute_frames::{Codec, Item, Tap};
use sealroute_rtp::rtcp::{Compound, RtcpPacket, SenderInfo, write_sender_report};
use sealroute_rtp::tap_record::{Record, RecordHeader, RecordKind};
use support::{Made, Publisher};

const HOLD_US: u64 = 100_000;
const START_US: u64 = 9_000_000;
const SSRC: u32 = 7;

fn record(kind: RecordKind, ssrc: u32, arrival_us: u64, body: &[u8]) -> Vec<u8> {
    let header = RecordHeader {
        kind,
        ssrc,
        arrival_us,
    };
    [&header.to_bytes(), body].concat()
}

struct Bench {
    tap: Tap,
    publisher: Publisher,
    now_us: u64,
    items: Vec<Item>,
}

impl Bench {
    fn new(codec: Codec) -> Self {
        let mut bench = Self {
            tap: Tap::new(HOLD_US),
            publisher: Publisher::new(codec, 1),
            now_us: START_US,
            items: Vec::new(),
        };
        let added = format!(
            r#"{{"event":"streamAdded","stream":"s","createdAt":1,"tracks":[{{"ssrc":{SSRC},
            "kind":"{}","codec":"{}","clockRate":90000,"payloadType":96,"extensions":{{}}}}]}}"#,
            codec.kind().name(),
            codec.name(),
        );
        bench.json(&added);
        bench
    }

    fn take(&mut self, record: &[u8]) {
        self.tap.handle_record(self.now_us, record);
        self.items.extend(std::iter::from_fn(|| self.tap.poll()));
    }

    fn json(&mut self, text: &str) {
        let record = record(RecordKind::Json, 0, self.now_us, text.as_bytes());
        self.take(&record);
    }

    /// A frame each 33 ms.
    fn make(&mut self, key: bool) -> Made {
        self.now_us += 33_000;
        let ticks = (self.now_us - START_US) * 90 / 1_000;
        self.publisher.make(ticks as u32, key)
    }

    fn send(&mut self, made: &Made) {
        for packet in &made.packets {
            let record = record(RecordKind::Rtp, SSRC, self.now_us, packet);
            self.take(&record);
        }
    }

    fn wait(&mut self) {
        while let Some(at) = self.tap.poll_timeout() {
            self.now_us = self.now_us.max(at);
            self.tap.handle_timeout(self.now_us);
            self.items.extend(std::iter::from_fn(|| self.tap.poll()));
        }
    }

    fn frames(&self) -> Vec<(i64, u32, Vec<u8>)> {
        let frame = |item: &Item| match item {
            Item::Frame {
                pts_us,
                duration_us,
                frame,
                ..
            } => Some((*pts_us, *duration_us, frame.data.clone())),
            _ => None,
        };
        self.items.iter().filter_map(frame).collect()
    }
}

#[test]
fn frames_have_their_time_and_their_duration() {
    let mut bench = Bench::new(Codec::Vp8);
    let mut sent = Vec::new();
    for index in 0..4_i64 {
        let made = bench.make(false);
        bench.send(&made);
        let pts_us = START_US as i64 + (index + 1) * 33_000;
        sent.push((pts_us, if index == 0 { 0 } else { 33_000 }, made.data));
    }
    bench.wait();
    assert_eq!(bench.frames(), sent);
    assert!(matches!(&bench.items[0], Item::Json { body, .. } if body.starts_with(b"{")));
}

#[test]
fn a_gap_stands_before_the_frame_after_it_and_a_key_frame_is_requested() {
    let mut bench = Bench::new(Codec::H264);
    let first = bench.make(true);
    bench.send(&first);
    let lost = bench.make(false);
    let dropped = bench.make(false);
    bench.send(&dropped);
    bench.wait();
    let request = bench.tap.poll_transmit(bench.now_us).expect("a request");
    let record = Record::parse(&request).expect("a record");
    assert_eq!(
        (record.header.kind, record.header.ssrc),
        (RecordKind::Feedback, SSRC)
    );
    let mut compound = Compound::new(record.body);
    assert!(matches!(
        compound.next(),
        Some(RtcpPacket::Pli { media_ssrc: SSRC })
    ));
    assert_eq!(bench.tap.poll_transmit(bench.now_us), None, "once");
    let key = bench.make(true);
    bench.send(&key);
    bench.wait();
    let [
        ..,
        Item::Lost {
            packets,
            from_us,
            to_us,
            ..
        },
        Item::Frame { pts_us, frame, .. },
    ] = bench.items.as_slice()
    else {
        panic!("{:?}", bench.items);
    };
    assert_eq!(
        *packets as usize,
        lost.packets.len() + dropped.packets.len()
    );
    assert_eq!(*packets, frame.lost_before);
    assert_eq!((*from_us, *to_us), (START_US as i64 + 33_000, *pts_us));
    assert_eq!(frame.data, key.data);
    let counters = bench.tap.counters();
    assert_eq!(counters.key_frame_requests, 1);
    assert_eq!(counters.lost_packets as usize, lost.packets.len());
    assert_eq!(counters.undecodable_frames, 1);
}

#[test]
fn a_removed_stream_gives_out_what_it_held_before_its_record() {
    let mut bench = Bench::new(Codec::Opus);
    let made = bench.make(false);
    bench.send(&made);
    assert_eq!(bench.frames().len(), 0);
    bench.json(r#"{"event":"streamRemoved","stream":"s","reason":"x"}"#);
    assert_eq!(bench.frames().len(), 1);
    assert!(matches!(bench.items.last(), Some(Item::Json { .. })));
    let late = bench.make(false);
    bench.send(&late);
    assert_eq!(bench.tap.counters().unknown_tracks, 1);
    assert_eq!(bench.frames().len(), 1);
}

#[test]
fn an_end_gives_out_all_and_says_what_is_missing() {
    let mut bench = Bench::new(Codec::Vp8);
    let made = bench.make(false);
    bench.send(&made);
    let body = 5_u32.to_le_bytes();
    let lost = record(RecordKind::Lost, SSRC, bench.now_us, &body);
    bench.take(&lost);
    bench.now_us += 1_000;
    let end = record(RecordKind::End, 0, 77, &[]);
    bench.take(&end);
    bench.take(&end);
    let [
        _,
        Item::Frame { .. },
        Item::Lost { packets, .. },
        Item::End { arrival_us },
    ] = bench.items.as_slice()
    else {
        panic!("{:?}", bench.items);
    };
    assert_eq!((*packets, *arrival_us), (5, 77));
}

#[test]
fn a_reader_that_comes_later_learns_of_tracks_without_a_record() {
    let mut bench = Bench::new(Codec::Vp8);
    let Some(Item::Json { body, .. }) = bench.items.pop() else {
        panic!("the record");
    };
    bench.tap = Tap::new(HOLD_US);
    bench.tap.learn(&body);
    bench.tap.learn(b"{}");
    let first = bench.make(true);
    bench.send(&first);
    // The record itself changes nothing.
    bench.json(std::str::from_utf8(&body).expect("text"));
    let second = bench.make(false);
    bench.send(&second);
    bench.wait();
    assert_eq!(bench.frames().len(), 2);
    assert_eq!(bench.tap.counters().malformed_records, 1);
}

#[test]
fn reports_place_the_frames() {
    let mut bench = Bench::new(Codec::Vp8);
    let made = bench.make(false);
    bench.send(&made);
    let info = SenderInfo {
        ntp_time: 1 << 40,
        rtp_time: 2_970,
        ..SenderInfo::default()
    };
    let mut body = Vec::new();
    write_sender_report(&mut body, SSRC, &info);
    let report = record(RecordKind::Rtcp, SSRC, bench.now_us, &body);
    bench.take(&report);
    bench.wait();
    assert_eq!(bench.frames()[0].0, START_US as i64 + 33_000);
    assert_eq!(bench.tap.counters().malformed_records, 0);
}

#[test]
fn what_is_no_record_or_of_no_track_is_counted() {
    let mut bench = Bench::new(Codec::Vp8);
    bench.take(b"");
    bench.take(&record(RecordKind::Rtp, SSRC, 0, b"short"));
    bench.take(&record(RecordKind::Lost, SSRC, 0, b""));
    bench.take(&record(RecordKind::Feedback, SSRC, 0, b""));
    bench.json("[]");
    bench.json(r#"{"event":"muted","stream":"s","kind":"video","muted":true}"#);
    bench.json(
        r#"{"event":"streamAdded","stream":"t","tracks":[
        {"ssrc":8,"kind":"audio","codec":"g722","clockRate":8000}]}"#,
    );
    let made = bench.make(false);
    bench.take(&record(RecordKind::Rtp, 99, 0, &made.packets[0]));
    bench.take(&record(RecordKind::Lost, 99, 0, &[0; 4]));
    let counters = bench.tap.counters();
    assert_eq!(counters.malformed_records, 5);
    assert_eq!(counters.unknown_tracks, 2);
    assert_eq!(counters.refused_tracks, 1);
    let json = bench
        .items
        .iter()
        .filter(|item| matches!(item, Item::Json { .. }));
    assert_eq!(
        json.count(),
        3,
        "the event that adds the track, and two more"
    );
}
