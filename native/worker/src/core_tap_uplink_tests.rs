//! Streams that are published over a tap: by whom, to whom, and what becomes of them.

use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, socketpair};
use sealroute_forward::{
    DownTrackParameters, PayloadAccess, PublisherHandle, SubscriberHandle, TransportHandle,
};
use sealroute_rtp::RtpPacket;
use sealroute_rtp::tap_record::{Record, RecordHeader, RecordKind};
use sealroute_transport::{SrtpKeys, SrtpProfile, SrtpReceiver};

use crate::api::{
    CloseTransport, Command, Event, OpenRouter, OpenTap, Publish, RouterHandle,
    SetUpTrackForwarding, Subscribe,
};
use crate::core::bench::{BEN, Bench, KEY, MediaPeer, ROUTER, SALT, down_track, up_track};
use crate::drop_reason::NetworkDrop;
use crate::local_socket::LocalSocket;

const TAP: TransportHandle = TransportHandle(60);
const BOT: PublisherHandle = PublisherHandle(62);
const LISTENER: SubscriberHandle = SubscriberHandle(63);
const OTHER: RouterHandle = RouterHandle(70);

/// A process that reads a tap, and publishes over it.
struct Bot(OwnedFd, u16);

impl Bot {
    fn open(bench: &mut Bench, router: RouterHandle) -> Self {
        let flags = SocketFlags::CLOEXEC;
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
        bench.apply(Command::OpenTap(OpenTap {
            router,
            transport: TAP,
            socket: LocalSocket::new(ours),
        }));
        Self(theirs, 0)
    }

    /// Sends the next packet of the stream with this SSRC, at this time.
    fn send(&mut self, bench: &mut Bench, ssrc: u32) {
        self.1 += 1;
        let [high, low] = self.1.to_be_bytes();
        let header = RecordHeader {
            kind: RecordKind::Publish,
            ssrc: 0,
            arrival_us: 0,
        };
        let mut record = header.to_bytes().to_vec();
        record.extend_from_slice(&[0x80, 111, high, low, 0, 0, high, low]);
        record.extend_from_slice(&ssrc.to_be_bytes());
        record.extend_from_slice(b"speech");
        rustix::net::send(&self.0, &record, SendFlags::empty()).unwrap();
        bench.core.serve_taps(bench.now);
        bench.core.end_batch(bench.now);
    }

    fn kinds(&self) -> Vec<RecordKind> {
        let mut buffer = vec![0; 4_096];
        let next = || {
            let (_, length) =
                rustix::net::recv(&self.0, &mut buffer[..], RecvFlags::DONTWAIT).ok()?;
            let record = Record::parse(&buffer[..length]).ok()?;
            Some(record.header.kind)
        };
        std::iter::from_fn(next).collect()
    }
}

fn publish(router: RouterHandle) -> Command {
    Command::Publish(Publish {
        router,
        publisher: BOT,
        transport: TAP,
        up_tracks: vec![up_track()],
    })
}

fn listen(subscriber: SubscriberHandle, transport: TransportHandle) -> Command {
    Command::Subscribe(Subscribe {
        router: ROUTER,
        subscriber,
        publisher: BOT,
        transport,
        down_tracks: vec![DownTrackParameters {
            mid: "2".into(),
            ssrc: 90,
            ..down_track()
        }],
    })
}

/// Ben listens to a stream that a bot publishes over a tap.
fn talking() -> (Bench, Bot) {
    let mut bench = Bench::in_call();
    let bot = Bot::open(&mut bench, ROUTER);
    bench.apply(publish(ROUTER));
    bench.apply(listen(LISTENER, BEN));
    assert_eq!(bench.events(), []);
    (bench, bot)
}

/// The payloads that Ben got of the stream.
fn heard(bench: &Bench) -> Vec<Vec<u8>> {
    let keys = SrtpKeys {
        key: &KEY,
        salt: &SALT,
    };
    let mut receiver = SrtpReceiver::new(SrtpProfile::AeadAes128Gcm, keys).unwrap();
    let to_ben = { bench.sent() }
        .into_iter()
        .filter(|(to, _)| to.port() == 2);
    let payloads = to_ben.filter_map(|(_, mut datagram)| {
        let length = receiver.unprotect_rtp(&mut datagram).ok()?;
        let packet = RtpPacket::parse(&datagram[..length]).ok()?;
        (packet.ssrc() == 90).then(|| packet.payload().to_vec())
    });
    payloads.collect()
}

fn unknown(command: &'static str, handle: u64) -> Event {
    Event::CommandFailed {
        command,
        handle,
        reason: "unknown_handle",
    }
}

#[test]
fn what_is_published_over_a_tap_reaches_subscribers() {
    let (mut bench, mut bot) = talking();
    for _ in 0..3 {
        bot.send(&mut bench, 77);
        bench.pass(Duration::from_millis(20));
    }
    assert_eq!(heard(&bench), [b"speech"; 3]);
    assert_eq!(bench.dropped(NetworkDrop::TapRecordRefused), 0);
}

#[test]
fn a_stream_of_a_tap_is_muted_as_any_other() {
    let (mut bench, mut bot) = talking();
    let forward = |forwarding| {
        Command::SetUpTrackForwarding(SetUpTrackForwarding {
            publisher: BOT,
            mid: "0".into(),
            forwarding,
        })
    };
    bench.apply(forward(false));
    bot.send(&mut bench, 77);
    assert_eq!(heard(&bench).len(), 0);
    bench.apply(forward(true));
    bot.send(&mut bench, 77);
    assert_eq!(heard(&bench).len(), 1);
}

#[test]
fn nothing_is_published_that_no_command_named() {
    let mut bench = Bench::in_call();
    let mut bot = Bot::open(&mut bench, ROUTER);
    bench.apply(listen(LISTENER, BEN));
    assert_eq!(bench.events(), [unknown("subscribe", 63)]);
    bot.send(&mut bench, 77);
    bench.apply(publish(ROUTER));
    bench.apply(listen(LISTENER, BEN));
    bench.sent();
    // Ann's SSRC is her transport's alone.
    bot.send(&mut bench, 4_711);
    assert_eq!(heard(&bench).len(), 0);
    bench.receive(1, &MediaPeer::new().next());
    assert_eq!(bench.sent().len(), 1);
}

#[test]
fn a_tap_publishes_in_its_own_clear_session_only() {
    for access in [PayloadAccess::Clear, PayloadAccess::Opaque] {
        let mut bench = Bench::in_call();
        let router = OTHER;
        bench.apply(Command::OpenRouter(OpenRouter { router, access }));
        let mut bot = Bot::open(&mut bench, OTHER);
        bench.events();
        bench.apply(publish(ROUTER));
        assert_eq!(bench.events(), [unknown("publish", 62)]);
        bench.apply(publish(OTHER));
        if access == PayloadAccess::Opaque {
            assert_eq!(bench.events(), [unknown("publish", 62)]);
            continue;
        }
        assert_eq!(bench.events(), []);
        bot.send(&mut bench, 77);
        assert_eq!(bench.sent().len(), 0);
    }
}

#[test]
fn with_the_tap_its_stream_ends() {
    let (mut bench, bot) = talking();
    bench.apply(Command::CloseTransport(CloseTransport { transport: TAP }));
    assert_eq!(bot.kinds(), [RecordKind::End]);
    bench.apply(publish(ROUTER));
    bench.apply(listen(LISTENER, BEN));
    assert_eq!(
        bench.events(),
        [unknown("publish", 62), unknown("subscribe", 63)]
    );
    let mut again = Bot::open(&mut bench, ROUTER);
    bench.apply(publish(ROUTER));
    bench.apply(listen(LISTENER, BEN));
    assert_eq!(bench.events(), []);
    bench.sent();
    again.send(&mut bench, 77);
    assert_eq!(bench.sent().len(), 1);
}

#[test]
fn a_bot_hears_others_and_gets_no_report_on_what_it_sends() {
    let (mut bench, mut bot) = talking();
    for _ in 0..100 {
        bot.send(&mut bench, 77);
        bench.pass(Duration::from_millis(20));
    }
    assert_eq!(bot.kinds(), []);
}

#[test]
fn a_flood_of_a_bot_is_bounded_and_counted_and_ends_its_tap_when_it_goes_on() {
    let (mut bench, mut bot) = talking();
    for _ in 0..1_000 {
        bot.send(&mut bench, 77);
    }
    let refused = bench.dropped(NetworkDrop::TapRateExceeded);
    assert_eq!(refused, 750);
    assert_eq!(heard(&bench).len(), 250);
    assert_eq!(bench.events(), []);
    for _ in 0..275 {
        bot.send(&mut bench, 77);
    }
    let closed = Event::TapClosed {
        transport: TAP,
        reason: "reader_floods",
    };
    assert_eq!(bench.events(), [closed]);
}
