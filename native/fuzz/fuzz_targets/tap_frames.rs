//! For any records: no frame comes twice, times grow, memory stays bounded, and nothing panics.
#![no_main]

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use sealroute_frames::{Codec, Item, MAX_FRAME_BYTES, Tap};
use sealroute_rtp::RtpHeader;
use sealroute_rtp::tap_record::{RecordHeader, RecordKind};
use std::collections::HashMap;

#[derive(Arbitrary, Debug)]
enum Step {
    Raw(Vec<u8>),
    Json(Vec<u8>),
    Rtp {
        track: u8,
        marker: bool,
        sequence: u16,
        timestamp: u32,
        payload: Vec<u8>,
    },
    Next {
        track: u8,
        marker: bool,
        ahead: u8,
        payload: Vec<u8>,
    },
    Rtcp(Vec<u8>),
    Report {
        track: u8,
        ntp: u64,
        rtp: u32,
    },
    Lost {
        track: u8,
        packets: u32,
    },
    Wait {
        milliseconds: u16,
    },
    Removed,
    End,
}

struct Reader {
    tap: Tap,
    now_us: u64,
    sequences: [u16; 5],
    timestamps: [u32; 5],
    latest: HashMap<u32, i64>,
}

impl Reader {
    fn record(&mut self, kind: RecordKind, ssrc: u32, body: &[u8]) {
        let header = RecordHeader {
            kind,
            ssrc,
            arrival_us: self.now_us,
        };
        let record = [&header.to_bytes(), body].concat();
        self.tap.handle_record(self.now_us, &record);
        self.take();
    }

    fn take(&mut self) {
        while let Some(item) = self.tap.poll() {
            if matches!(item, Item::Json { .. }) {
                // It may have added the tracks again.
                self.latest.clear();
            }
            if let Item::Frame {
                ssrc,
                pts_us,
                frame,
                ..
            } = item
            {
                assert!(!frame.data.is_empty());
                // Start codes and sizes are added to what came.
                assert!(frame.data.len() <= 4 * MAX_FRAME_BYTES);
                let before = self.latest.insert(ssrc, pts_us);
                assert!(before.is_none_or(|before| before < pts_us || pts_us == i64::MAX));
            }
        }
        while self.tap.poll_transmit(self.now_us).is_some() {}
    }

    fn rtp(&mut self, track: u8, marker: bool, sequence: u16, timestamp: u32, payload: &[u8]) {
        let header = RtpHeader {
            marker,
            payload_type: 96,
            sequence,
            timestamp,
            ssrc: u32::from(track),
        };
        let mut out = [0; 32];
        let length = header.write(std::iter::empty(), &mut out);
        let payload = &payload[..payload.len().min(1_200)];
        let packet = [&out[..length], payload].concat();
        self.record(RecordKind::Rtp, u32::from(track), &packet);
    }

    fn next(&mut self, track: u8, marker: bool, ahead: u8, payload: &[u8]) {
        let index = usize::from(track);
        self.sequences[index] = self.sequences[index].wrapping_add(u16::from(ahead % 4));
        let (sequence, timestamp) = (self.sequences[index], self.timestamps[index]);
        if marker {
            self.timestamps[index] = timestamp.wrapping_add(2_970);
        }
        self.rtp(track, marker, sequence, timestamp, payload);
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Raw(bytes) => {
                self.tap.handle_record(self.now_us, bytes);
                self.take();
            }
            Step::Json(body) => self.record(RecordKind::Json, 0, body),
            Step::Rtp {
                track,
                marker,
                sequence,
                timestamp,
                payload,
            } => self.rtp(track % 5, *marker, *sequence, *timestamp, payload),
            Step::Next {
                track,
                marker,
                ahead,
                payload,
            } => self.next(track % 5, *marker, *ahead, payload),
            Step::Rtcp(body) => self.record(RecordKind::Rtcp, 0, body),
            Step::Report { track, ntp, rtp } => self.report(*track, *ntp, *rtp),
            Step::Lost { track, packets } => {
                self.record(
                    RecordKind::Lost,
                    u32::from(track % 5),
                    &packets.to_le_bytes(),
                );
            }
            Step::Wait { milliseconds } => {
                self.now_us += u64::from(*milliseconds) * 1_000;
                self.tap.handle_timeout(self.now_us);
                self.take();
            }
            Step::Removed => self.record(
                RecordKind::Json,
                0,
                br#"{"event":"streamRemoved","stream":"s"}"#,
            ),
            Step::End => self.record(RecordKind::End, 0, &[]),
        }
    }

    fn report(&mut self, track: u8, ntp: u64, rtp: u32) {
        let ssrc = u32::from(track % 5);
        let mut body = vec![0x80, 200, 0, 6];
        body.extend(ssrc.to_be_bytes());
        body.extend(ntp.to_be_bytes());
        body.extend(rtp.to_be_bytes());
        body.extend([0; 8]);
        self.record(RecordKind::Rtcp, ssrc, &body);
    }
}

fuzz_target!(|input: (u16, Vec<Step>)| {
    let mut reader = Reader {
        tap: Tap::new(u64::from(input.0 % 500) * 1_000),
        now_us: 1_000_000,
        sequences: [65_500; 5],
        timestamps: [u32::MAX - 10_000; 5],
        latest: HashMap::new(),
    };
    // Streams of an audio and a video track each would share clocks; here all share one.
    let tracks = Codec::ALL.iter().enumerate().map(|(ssrc, codec)| {
        let name = codec.name();
        format!(r#"{{"ssrc":{ssrc},"codec":"{name}","clockRate":90000}}"#)
    });
    let tracks = tracks.collect::<Vec<_>>().join(",");
    let added = format!(r#"{{"event":"streamAdded","stream":"s","tracks":[{tracks}]}}"#);
    reader.record(RecordKind::Json, 0, added.as_bytes());
    for step in &input.1 {
        reader.step(step);
    }
    reader.tap.handle_end(reader.now_us, reader.now_us);
    reader.take();
    let _ = reader.tap.counters();
});
