use super::*;
use crate::tap_uplink::MAX_REQUESTS;
use sealroute_rtp::tap_record::Record;
use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, socketpair};
use sealroute_forward::{ForwardSettings, PayloadAccess, SessionRouter, TransportHandle};
use sealroute_rtp::rtcp::{write_nack, write_pli};

const NOW_US: u64 = 5_000_000;
const VIDEO: u32 = 7;
const AUDIO: u32 = 8;

/// A tap, and its reader's end.
struct Scene {
    tap: Tap,
    reader: Option<OwnedFd>,
    counters: NetworkCounters,
}

impl Scene {
    fn new() -> Self {
        let flags = SocketFlags::CLOEXEC;
        let (ours, reader) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
        let mut router = SessionRouter::new(PayloadAccess::Clear, ForwardSettings::default());
        let clear = router.open_local(TransportHandle(1)).unwrap();
        Self {
            tap: Tap::new(clear, RouterHandle(1), LocalSocket::new(ours)),
            reader: Some(reader),
            counters: NetworkCounters::default(),
        }
    }

    fn rtp(&mut self, ssrc: u32, bytes: usize) {
        let mut header = vec![0x80, 96, 0, 1, 0, 0, 0, 1];
        header.extend_from_slice(&ssrc.to_be_bytes());
        let body = vec![0xAB; bytes];
        self.tap.rtp(NOW_US, &header, &body, &mut self.counters);
    }

    fn flush(&mut self) -> Option<Reader> {
        self.tap.flush(NOW_US, &mut self.counters)
    }

    /// Fills the socket with video; returns how many packets went out before the reader was behind.
    fn fill(&mut self) -> u32 {
        for count in 1.. {
            self.rtp(VIDEO, 1_150);
            if let Some(reader) = self.flush() {
                assert_eq!(reader, Reader::Behind);
                return count;
            }
        }
        unreachable!("the socket has no end");
    }

    /// The next record as (kind, ssrc, body).
    fn next(&self) -> Option<(RecordKind, u32, Vec<u8>)> {
        let reader = self.reader.as_ref()?;
        let mut buffer = vec![0; 70_000];
        let (_, length) = rustix::net::recv(reader, &mut buffer[..], RecvFlags::DONTWAIT).ok()?;
        let record = Record::parse(&buffer[..length]).ok()?;
        Some((record.header.kind, record.header.ssrc, record.body.to_vec()))
    }

    fn all(&self) -> Vec<(RecordKind, u32, Vec<u8>)> {
        std::iter::from_fn(|| self.next()).collect()
    }

    fn send(&self, datagram: &[u8]) {
        let reader = self.reader.as_ref().unwrap();
        let flags = rustix::net::SendFlags::empty();
        rustix::net::send(reader, datagram, flags).unwrap();
    }

    fn requested(&mut self) -> Vec<u32> {
        self.requested_at(NOW_US)
    }

    fn requested_at(&mut self, now_us: u64) -> Vec<u32> {
        let mut received = Received::default();
        let over = self.tap.receive(now_us, &mut received, &mut self.counters);
        assert_eq!(over, None);
        received.requested
    }

    fn refused(&self) -> u64 {
        self.counters.dropped(NetworkDrop::TapRecordRefused)
    }
}

fn feedback(compound: &[u8]) -> Vec<u8> {
    let header = own(RecordKind::Feedback, 0, 0).to_bytes();
    [&header[..], compound].concat()
}

fn pli(ssrc: u32) -> Vec<u8> {
    let mut compound = Vec::new();
    write_pli(&mut compound, 1, ssrc);
    compound
}

#[test]
fn records_come_in_the_order_in_which_they_were_queued() {
    let mut scene = Scene::new();
    assert!(scene.tap.json(NOW_US, b"{}"));
    scene.rtp(VIDEO, 3);
    let report = [0x80, 200, 0, 6, 0, 0, 0, 7, 1, 2, 3, 4];
    scene.tap.rtcp(NOW_US, &report, &mut scene.counters);
    scene.tap.end(NOW_US);
    assert_eq!(scene.all(), []);
    assert_eq!(scene.flush(), None);
    let records = scene.all();
    let kinds: Vec<_> = records
        .iter()
        .map(|(kind, ssrc, _)| (*kind, *ssrc))
        .collect();
    let expected = [
        (RecordKind::Json, 0),
        (RecordKind::Rtp, VIDEO),
        (RecordKind::Rtcp, VIDEO),
        (RecordKind::End, 0),
    ];
    assert_eq!(kinds, expected);
    assert_eq!(records[0].2, b"{}");
    assert!(records[1].2.starts_with(&[0x80, 96]) && records[1].2.ends_with(&[0xAB; 3]));
    assert_eq!(records[2].2, report);
    assert_eq!(scene.counters.tap_records, 4);
}

#[test]
fn a_reader_that_is_behind_leaves_a_quarter_for_audio_and_catches_up_at_a_quarter() {
    let mut scene = Scene::new();
    let video = scene.fill();
    // Video has stopped before anything was refused.
    assert_eq!(scene.counters.dropped(NetworkDrop::SendBufferFull), 0);
    for _ in 0..50 {
        scene.rtp(AUDIO, 100);
        assert_eq!(scene.flush(), None);
    }
    assert_eq!(scene.counters.dropped(NetworkDrop::SendBufferFull), 0);
    for _ in 0..video / 2 {
        assert!(scene.next().is_some());
    }
    assert_eq!(scene.flush(), None);
    let rest = scene.all();
    assert_eq!(rest.len() as u32, video - video / 2 + 50);
    assert_eq!(scene.flush(), Some(Reader::KeepsUp));
}

#[test]
fn what_the_socket_refuses_is_counted_and_the_reader_is_told_before_anything_else() {
    let mut scene = Scene::new();
    scene.fill();
    let mut written = 0;
    while scene.counters.dropped(NetworkDrop::SendBufferFull) == 0 {
        scene.rtp(AUDIO, 500);
        scene.flush();
        written += 1;
    }
    scene.rtp(AUDIO, 500);
    scene.flush();
    assert_eq!(scene.counters.dropped(NetworkDrop::SendBufferFull), 2);
    let rows = scene.tap.snapshot(TransportHandle(1)).not_sent;
    assert_eq!((rows[0].ssrc, rows[0].packets), (AUDIO, 2));
    let records = scene.all();
    let audio = records.iter().filter(|(_, ssrc, _)| *ssrc == AUDIO).count();
    assert_eq!(audio, written - 1);
    scene.rtp(AUDIO, 1);
    scene.tap.lose(VIDEO, 9);
    assert_eq!(scene.flush(), Some(Reader::KeepsUp));
    let told: Vec<_> = scene
        .all()
        .into_iter()
        .map(|(kind, ssrc, body)| (kind, ssrc, body[0]))
        .collect();
    let expected = [
        (RecordKind::Lost, VIDEO, 9),
        (RecordKind::Lost, AUDIO, 2),
        (RecordKind::Rtp, AUDIO, 0x80),
    ];
    assert_eq!(told, expected);
    assert_eq!(scene.flush(), None);
    assert_eq!(scene.all(), []);
}

#[test]
fn events_and_the_end_wait_for_room_and_media_does_not_overtake_them() {
    let mut scene = Scene::new();
    scene.fill();
    while scene.counters.dropped(NetworkDrop::SendBufferFull) == 0 {
        scene.rtp(AUDIO, 1_400);
        scene.flush();
    }
    assert!(scene.tap.json(NOW_US, b"{\"event\":\"muted\"}"));
    scene.flush();
    scene.rtp(AUDIO, 100);
    scene.tap.end(NOW_US);
    scene.flush();
    assert!(scene.tap.has_work());
    let before = scene.all();
    assert!(before.iter().all(|(kind, ..)| *kind == RecordKind::Rtp));
    scene.flush();
    let kinds: Vec<_> = scene.all().into_iter().map(|(kind, ..)| kind).collect();
    assert_eq!(kinds, [RecordKind::Lost, RecordKind::Json, RecordKind::End]);
    assert!(!scene.tap.has_work());
}

#[test]
fn events_for_a_reader_that_never_reads_are_bounded() {
    let mut scene = Scene::new();
    let event = vec![b'x'; 30_000];
    let taken = (0..10_000)
        .take_while(|_| {
            let taken = scene.tap.json(NOW_US, &event);
            scene.flush();
            taken
        })
        .count();
    assert!((30..1_000).contains(&taken), "{taken}");
    assert!(scene.tap.bytes.len() <= MAX_WAITING_BYTES);
}

#[test]
fn a_reader_that_is_gone_is_noticed_once_and_nothing_is_kept_for_it() {
    let mut scene = Scene::new();
    scene.reader = None;
    scene.rtp(VIDEO, 100);
    assert_eq!(scene.flush(), Some(Reader::Gone));
    scene.rtp(VIDEO, 100);
    assert_eq!(scene.flush(), None);
    assert!(scene.tap.queued.is_empty());
    let mut received = Received::default();
    let over = { scene.tap }.receive(NOW_US, &mut received, &mut scene.counters);
    assert_eq!(over, Some(Reader::Gone));
}

#[test]
fn a_readers_key_frame_requests_are_taken_and_all_else_is_counted() {
    let mut scene = Scene::new();
    scene.send(&feedback(&pli(VIDEO)));
    scene.send(&feedback(&[pli(VIDEO), pli(AUDIO)].concat()));
    assert_eq!(scene.requested(), [VIDEO, VIDEO, AUDIO]);
    assert_eq!(scene.refused(), 0);
    let mut nack = Vec::new();
    write_nack(&mut nack, 1, VIDEO, &[sealroute_rtp::Sequence(3)]);
    let header = |kind| own(kind, 0, 0).to_bytes().to_vec();
    let refused = [
        b"x".to_vec(),
        header(RecordKind::Feedback),
        header(RecordKind::Publish),
        header(RecordKind::Json),
        feedback(&nack),
        feedback(&[&pli(VIDEO)[..], &nack].concat()),
        feedback(&[0x81, 201, 0, 1]),
        [feedback(&pli(VIDEO)), vec![0; MAX_RECEIVED_BYTES]].concat(),
    ];
    for datagram in &refused {
        scene.send(datagram);
    }
    assert!(scene.requested().is_empty());
    assert_eq!(scene.refused(), refused.len() as u64);
}

#[test]
fn a_flood_of_a_reader_is_handled_in_parts() {
    let mut scene = Scene::new();
    for _ in 0..=MAX_RECEIVED_AT_ONCE {
        scene.send(&feedback(&pli(VIDEO)));
    }
    assert_eq!(scene.requested().len(), MAX_RECEIVED_AT_ONCE);
    assert_eq!(scene.requested().len(), 1);
    let flood: Vec<u8> = std::iter::repeat_with(|| pli(VIDEO))
        .take(120)
        .flatten()
        .collect();
    scene.send(&feedback(&flood));
    assert!(scene.requested().len() <= MAX_REQUESTS);
}

#[test]
fn what_a_reader_sends_beyond_its_budget_is_counted_and_ends_the_tap_when_it_goes_on() {
    let mut scene = Scene::new();
    let record = feedback(&pli(VIDEO).repeat(100));
    let (mut received, mut over) = (Received::default(), None);
    for round in 0_u64..5_000 {
        scene.send(&record);
        let now_us = NOW_US + round * 1_000;
        over = scene
            .tap
            .receive(now_us, &mut received, &mut scene.counters);
        if over.is_some() {
            break;
        }
    }
    assert_eq!(over, Some(Reader::Floods));
    // A burst, and two seconds at the rate; a thousand records a second, half of them too many.
    let flood = scene.counters.dropped(NetworkDrop::TapFlood);
    assert!((2_000..2_100).contains(&flood), "{flood}");
    let requested = received.requested.len();
    assert!((400..=600).contains(&requested), "{requested}");
    scene.tap.on_over(Reader::Floods);
    scene.rtp(VIDEO, 100);
    assert_eq!(scene.flush(), None);
    assert_eq!(scene.counters.dropped(NetworkDrop::SendNoAddress), 1);
}

#[test]
fn no_record_of_a_reader_does_more_than_it_may() {
    let mut scene = Scene::new();
    let mut state = 0x5EED_u64;
    let mut noise = move || {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        state.wrapping_mul(0x2545_F491_4F6C_DD1D)
    };
    let valid = feedback(&[pli(VIDEO), pli(AUDIO)].concat());
    for round in 0..20_000 {
        let mut datagram = valid.clone();
        if round % 3 == 0 {
            datagram = (0..=noise() % 60).map(|_| noise() as u8).collect();
        }
        let at = noise() as usize % datagram.len();
        datagram[at] ^= 1 << (noise() % 8);
        scene.send(&datagram);
        let requested = scene.requested_at(NOW_US + round * 20_000);
        assert!(requested.len() <= MAX_REQUESTS);
    }
    assert_eq!(scene.counters.dropped(NetworkDrop::TapFlood), 0);
    assert!(scene.refused() > 5_000);
}
