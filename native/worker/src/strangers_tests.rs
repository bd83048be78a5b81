use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use sealroute_forward::TransportHandle;
use sealroute_transport::stun;

use crate::core::tests::{
    ANN, BEN, Bench, MediaPeer, PASSWORD, PEER_PASSWORD, answer, check, path,
};
use crate::drop_reason::NetworkDrop;
use crate::path::Path;

/// Whoever sends junk has a thousand addresses, each in a network of its own.
fn from_network(number: usize) -> Path {
    let [.., high, low] = number.to_be_bytes();
    let ip = Ipv4Addr::new(100, high, low, 7);
    Path {
        remote: SocketAddr::new(ip.into(), 4_000),
        ..path(1)
    }
}

fn junk_from(bench: &mut Bench, from: Path, datagram: &[u8]) {
    let mut datagram = datagram.to_vec();
    let now = bench.now;
    bench.core.handle_datagram(now, Some(from), &mut datagram);
    bench.core.end_batch(now);
}

/// RTP and SRTCP of no peer: by turns with an SSRC that nobody has, and as if the sender had seen
/// the SSRC and the counter of a peer.
fn junk(number: usize) -> Vec<u8> {
    let [.., third, high, low] = number.to_be_bytes();
    let mut packet = match number % 3 {
        0 => vec![0x80, 111, high, low, 0, 0, high, low, 9, third, high, low],
        1 => vec![0x80, 111, high, low, 0, 0, high, low, 0, 0, 0, 77],
        _ => vec![0x81, 201, 0, 7, 0, 0, 0, 1],
    };
    packet.resize(48, high);
    if number % 3 == 2 {
        packet.extend_from_slice(&[0x80, 0, 0, 20]);
    }
    packet
}

fn asked(bench: &Bench) -> Vec<(SocketAddr, Vec<u8>)> {
    let sent = bench.sent().into_iter();
    sent.filter(|(_, datagram)| stun::parse_request(datagram).is_ok())
        .collect()
}

fn in_flood(rate: usize, mut act: impl FnMut(&mut Bench, &mut MediaPeer, &mut MediaPeer, usize)) {
    let (mut ann, mut ben) = (MediaPeer::new(), MediaPeer::new());
    let mut bench = Bench::in_call();
    for _ in 0..10 {
        bench.receive(1, &ann.next());
        bench.receive(2, &ben.report());
    }
    bench.sent();
    let mut number = 0;
    for turn in 0..20 {
        for _ in 0..rate / 10 {
            let datagram = junk(number);
            junk_from(&mut bench, from_network(number % 1_000), &datagram);
            number += 1;
        }
        assert!(asked(&bench).is_empty(), "junk was answered");
        act(&mut bench, &mut ann, &mut ben, turn);
        bench.pass(Duration::from_millis(100));
        bench.events();
        bench.sent();
    }
    assert!(bench.dropped(NetworkDrop::UnknownAddress) as usize > number);
}

#[test]
fn a_peer_that_moves_is_asked_after_its_first_packet_in_a_flood_of_a_thousand_addresses() {
    for rate in [10_000, 50_000] {
        in_flood(rate, |bench, ann, ben, turn| {
            // So often that the share of tries of one network is enough.
            if rate > 10_000 && turn % 4 != 0 {
                return;
            }
            let port = 100 + turn as u16;
            for (of, packet) in [(ANN, ann.next()), (BEN, ben.report())] {
                let port = if of == ANN { port } else { port + 1_000 };
                bench.receive(port, &packet);
                let questions = asked(bench);
                assert_eq!(questions.len(), 1, "turn {turn} of {rate}");
                assert_eq!(questions[0].0, path(port).remote);
                bench.receive(port, &answer(&questions[0].1, PEER_PASSWORD));
                let transport = bench.core.transports.get(of).unwrap();
                assert_eq!(transport.path, Some(path(port)));
            }
        });
    }
}

#[test]
fn a_check_from_another_address_is_answered_and_followed_in_a_flood() {
    let (mut ann, mut bench) = (MediaPeer::new(), Bench::in_call());
    bench.receive(1, &ann.next());
    bench.sent();
    for number in 0..100_000 {
        junk_from(&mut bench, from_network(number % 1_000), &junk(number));
    }
    bench.receive(30, &check("ben1", PASSWORD, true));
    bench.answered(&[30]);
    let transport = bench.core.transports.get(BEN).unwrap();
    assert_eq!(transport.path, Some(path(30)));
}

#[test]
fn whoever_seals_packets_for_many_addresses_uses_up_no_other_peers_places() {
    let (mut ann, mut ben) = (MediaPeer::new(), MediaPeer::new());
    let mut bench = Bench::in_call();
    bench.receive(1, &ann.next());
    bench.receive(2, &ben.report());
    bench.sent();
    for number in 0..2_000 {
        junk_from(&mut bench, from_network(number), &ann.next());
        bench.sent();
    }
    assert!(bench.core.strangers.asked.len() <= 8);
    bench.receive(40, &ben.report());
    let questions = asked(&bench);
    assert_eq!(questions.len(), 1);
    assert_eq!(questions[0].0, path(40).remote);
}

#[test]
fn one_network_that_guesses_right_has_its_share_of_tries_and_no_more() {
    let mut tries = super::Tries::default();
    let now = std::time::Instant::now();
    let taken = |tries: &mut super::Tries, network: usize, times: usize| {
        let ip = super::network_of(from_network(network).remote.ip());
        (0..times).filter(|_| tries.take(now, ip, 8)).count()
    };
    assert_eq!(taken(&mut tries, 0, 10_000), (16 + 2_048) / 8);
    for network in 1..1_000 {
        assert!(taken(&mut tries, network, 1_000) >= 2);
    }
    assert_eq!(taken(&mut tries, 5_000, 10), 2);
}

#[test]
fn of_many_with_one_ssrc_each_gets_its_turn() {
    let clue = super::SrtpClue::Rtp { ssrc: 5 };
    let handles = (0..100).map(TransportHandle);
    let mut expected = super::ExpectedPackets {
        rtp: handles.map(|handle| (5, handle)).collect(),
        ..Default::default()
    };
    let mut found = std::collections::BTreeSet::new();
    for _ in 0..100 {
        let some = expected.find(clue);
        assert_eq!(some.len(), super::MAX_CANDIDATES);
        found.extend(some.iter().map(|handle| handle.0));
    }
    assert_eq!(found.len(), 100);
}
