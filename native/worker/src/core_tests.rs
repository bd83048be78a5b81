use super::bench::*;
use super::*;
use std::net::SocketAddr;
use std::num::NonZeroU32;

use sealroute_forward::{
    Extension, ExtensionIds, PayloadAccess, PublisherHandle, UpTrackParameters,
};
use sealroute_transport::{SrtpKeys, SrtpProfile, SrtpReceiver};

use crate::api::{CloseRouter, Command, OpenRouter, Publish, RestartIce, Secret, Unpublish};

#[test]
fn checks_renew_consent_and_without_them_it_expires() {
    let mut bench = Bench::in_call();
    for _ in 0..10 {
        bench.pass(CONSENT / 2);
        bench.receive(1, &check("ann1", PASSWORD, false));
        bench.receive(2, &check("ben1", PASSWORD, false));
    }
    assert_eq!(bench.events(), []);
    bench.pass(CONSENT / 2);
    bench.receive(1, &check("ann1", PASSWORD, false));
    bench.pass(CONSENT / 2);
    assert_eq!(bench.events(), [Event::ConsentExpired { transport: BEN }]);
    bench.sent();
    bench.receive(1, &MediaPeer::new().next());
    assert!(bench.sent().iter().all(|(to, _)| to.port() != 2));
    assert_eq!(bench.dropped(NetworkDrop::SendNoAddress), 1);
}

#[test]
fn checks_that_do_not_authenticate_do_not_renew_consent() {
    let mut bench = Bench::in_call();
    bench.pass(Duration::from_secs(29));
    bench.receive(1, &check("ann1", "another+password+than+that", true));
    bench.receive(2, &check("ben1", PASSWORD, true));
    bench.pass(Duration::from_secs(2));
    assert_eq!(bench.events(), [Event::ConsentExpired { transport: ANN }]);
}

#[test]
fn a_packet_is_sent_protected_to_every_subscriber_and_to_no_other_peer() {
    let mut bench = Bench::in_call();
    bench.receive(1, &MediaPeer::new().next());
    let mut sent = bench.sent();
    assert_eq!(sent.len(), 1);
    let (to, packet) = &mut sent[0];
    assert_eq!(to.port(), 2);
    let keys = SrtpKeys {
        key: &KEY,
        salt: &SALT,
    };
    let mut receiver = SrtpReceiver::new(SrtpProfile::AeadAes128Gcm, keys).unwrap();
    let length = receiver.unprotect_rtp(packet).unwrap();
    assert_eq!(&packet[8..12], &88_u32.to_be_bytes());
    assert!(packet[..length].ends_with(b"audio"));
}

#[test]
fn feedback_is_sent_while_packets_arrive_and_stops_with_them() {
    let mut bench = Bench::in_call();
    let mut peer = MediaPeer::new();
    for _ in 0..50 {
        bench.receive(1, &peer.next());
        bench.pass(Duration::from_millis(20));
    }
    let is_rtcp = |(to, datagram): &(SocketAddr, Vec<u8>)| to.port() == 1 && datagram[1] == 205;
    let feedback = bench.sent().iter().filter(|sent| is_rtcp(sent)).count();
    assert!((5..=20).contains(&feedback), "{feedback} in a second");
    bench.pass(Duration::from_secs(1));
    bench.sent();
    bench.pass(Duration::from_secs(5));
    assert_eq!(bench.sent().iter().filter(|sent| is_rtcp(sent)).count(), 0);
}

#[test]
fn feedback_ends_with_the_publisher_that_negotiated_it() {
    let mut bench = Bench::in_call();
    let mut peer = MediaPeer::new();
    let publisher = PublisherHandle(4);
    bench.receive(1, &peer.next());
    bench.apply(Command::Unpublish(Unpublish { publisher }));
    bench.pass(Duration::from_secs(1));
    // Its successor uses the id for something else.
    let extensions = ExtensionIds(vec![(Extension::AbsSendTime, FEEDBACK_ID)]);
    let up_tracks = vec![UpTrackParameters {
        extensions,
        ..up_track()
    }];
    bench.apply(Command::Publish(Publish {
        router: ROUTER,
        publisher,
        transport: ANN,
        up_tracks,
    }));
    bench.sent();
    for _ in 0..50 {
        bench.receive(1, &peer.next());
        bench.pass(Duration::from_millis(20));
    }
    let feedback = |(to, datagram): &(SocketAddr, Vec<u8>)| to.port() == 1 && datagram[1] == 205;
    assert_eq!(bench.sent().iter().filter(|sent| feedback(sent)).count(), 0);
}

#[test]
fn no_timer_is_due_in_an_idle_worker() {
    let mut bench = Bench::new();
    bench.pass(Duration::from_secs(1));
    assert_eq!(bench.core.poll_timeout(), None);
}

#[test]
fn closing_a_router_removes_all_its_state() {
    let mut bench = Bench::in_call();
    bench.receive(1, &MediaPeer::new().next());
    bench.apply(Command::CloseRouter(CloseRouter { router: ROUTER }));
    let core = &bench.core;
    assert_eq!(core.transports.len() + core.sessions.len(), 0);
    assert_eq!(
        core.session_index.publishers() + core.session_index.subscribers(),
        0
    );
    assert_eq!(core.transports.by_address(path(1).peer()), None);
    assert_eq!(core.transports.by_ufrag("ann1"), None);
    bench.pass(Duration::from_secs(1));
    assert_eq!(bench.core.poll_timeout(), None);
    bench.sent();
    bench.receive(1, &check("ann1", PASSWORD, true));
    assert_eq!(bench.sent(), []);
}

#[test]
fn a_transport_serves_its_own_session_only() {
    let mut bench = Bench::in_call();
    let router = RouterHandle(50);
    bench.apply(Command::OpenRouter(OpenRouter {
        router,
        access: PayloadAccess::Clear,
    }));
    let publisher = PublisherHandle(51);
    bench.apply(Command::Publish(Publish {
        router,
        publisher,
        transport: ANN,
        up_tracks: vec![up_track()],
    }));
    let failed = Event::CommandFailed {
        command: "publish",
        handle: 51,
        reason: "unknown_handle",
    };
    assert_eq!(bench.events(), [failed]);
}

#[test]
fn a_connected_clients_junk_reaches_no_handshake_and_few_of_its_hellos_do() {
    let mut bench = Bench::in_call();
    let hello = |body: u8| {
        let mut bytes = vec![22, 0xFE, 0xFD, 0, 0, 0, 0, 0, 0, 0, 0, 0, 13];
        bytes.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, body]);
        bytes
    };
    for round in 0..50_000 {
        bench.receive(2, &[22; 40]);
        bench.receive(2, &hello(round as u8));
        bench.pass(Duration::from_micros(20));
        bench.core.events.drain();
    }
    assert_eq!(bench.dropped(NetworkDrop::DtlsMalformed), 50_000);
    let passed = bench.core.counters.dtls_records;
    assert!((8..=10).contains(&passed), "{passed}");
    assert_eq!(bench.dropped(NetworkDrop::DtlsFlood), 50_000 - passed);
}

/// xorshift64*: the same bytes on every run.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }
}

#[test]
fn no_datagram_ends_the_worker_and_an_unknown_address_gets_at_most_three_times_its_bytes() {
    let mut bench = Bench::in_call();
    let mut noise = Noise(0x5EED);
    let mut peer = MediaPeer::new();
    let (mut received, mut sent_back) = (0, 0);
    for round in 0..20_000 {
        let mut datagram = match round % 4 {
            0 => check("ann1", PASSWORD, true),
            1 => peer.next(),
            _ => (0..noise.next() % 200)
                .map(|_| noise.next() as u8)
                .collect(),
        };
        if let Some(byte) = (noise.next() as usize).checked_rem(datagram.len()) {
            datagram[byte] ^= 1 << (noise.next() % 8);
        }
        // From an unknown address: no state is kept for it, whatever the datagram.
        bench.receive(9, &datagram);
        received += datagram.len();
        sent_back += bench
            .sent()
            .iter()
            .filter(|(to, _)| to.port() == 9)
            .map(|(_, sent)| sent.len())
            .sum::<usize>();
        assert!(sent_back <= 3 * received && sent_back <= 10_000);
        bench.receive(1, &datagram);
        bench.events();
        bench.sent();
        if round % 64 == 0 {
            peer.1 = peer.1.wrapping_add(noise.next() as u16 % 8);
        }
    }
    assert!(bench.dropped(NetworkDrop::SrtpBadTag) > 1_000);
    assert!(bench.dropped(NetworkDrop::StunMalformed) > 1_000);
}

#[test]
fn after_an_ice_restart_only_the_new_credentials_reach_the_transport_and_its_keys_stay() {
    let mut bench = Bench::in_call();
    bench.apply(Command::RestartIce(RestartIce {
        transport: ANN,
        local_ufrag: "again".into(),
        local_pwd: Secret(PASSWORD.into()),
    }));
    let place = |bench: &Bench| bench.core.transports.get(ANN).unwrap().path;
    assert_eq!(place(&bench), Some(path(1)));
    bench.receive(11, &check("ann1", PASSWORD, true));
    assert_eq!(place(&bench), Some(path(1)));
    bench.receive(12, &check("again", PASSWORD, true));
    assert_eq!(place(&bench), Some(path(1)));
    bench.answered(&[12]);
    assert_eq!(place(&bench), Some(path(12)));
    assert!(bench.core.transports.get(ANN).unwrap().has_keys());
}

#[test]
fn a_connection_and_a_datagram_of_one_address_and_port_are_two_peers() {
    let mut bench = Bench::in_call();
    let connected = Path {
        connection: NonZeroU32::new(1),
        ..path(1)
    };
    let mut datagram = check("ben1", PASSWORD, true);
    bench
        .core
        .handle_datagram(bench.now, Some(connected), &mut datagram);
    let place = |bench: &Bench, of| bench.core.transports.get(of).unwrap().path;
    assert_eq!(place(&bench, ANN), Some(path(1)));
    assert_eq!(place(&bench, BEN), Some(connected));
    bench.core.handle_connection_end(connected.peer());
    assert_eq!(place(&bench, BEN), None);
    bench.receive(2, &check("ben1", PASSWORD, false));
    assert_eq!(place(&bench, BEN), Some(path(2)));
}
