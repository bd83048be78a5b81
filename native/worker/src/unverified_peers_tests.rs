use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use sealroute_forward::TransportHandle;
use sealroute_transport::stun;

use crate::core::bench::{
    ANN, BEN, Bench, MediaPeer, PASSWORD, PEER_PASSWORD, answer, check, path,
};
use crate::drop_reason::NetworkDrop;
use crate::path::Path;

/// An address in one of many networks.
fn address_in_network(number: usize) -> Path {
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

/// RTP and SRTCP of no peer, alternating between an unknown SSRC, a peer's SSRC, and a peer's SSRC
/// and SRTCP index.
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

fn probes(bench: &Bench) -> Vec<(SocketAddr, Vec<u8>)> {
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
            junk_from(&mut bench, address_in_network(number % 1_000), &datagram);
            number += 1;
        }
        assert!(probes(&bench).is_empty(), "junk was answered");
        act(&mut bench, &mut ann, &mut ben, turn);
        bench.pass(Duration::from_millis(100));
        bench.events();
        bench.sent();
    }
    assert!(bench.dropped(NetworkDrop::UnknownAddress) as usize > number);
}

#[test]
fn a_migrated_peer_is_probed_after_its_first_packet_during_a_flood_from_a_thousand_addresses() {
    for rate in [10_000, 50_000] {
        in_flood(rate, |bench, ann, ben, turn| {
            // Rarely enough for the trial budget of one network.
            if rate > 10_000 && turn % 4 != 0 {
                return;
            }
            let port = 100 + turn as u16;
            for (of, packet) in [(ANN, ann.next()), (BEN, ben.report())] {
                let port = if of == ANN { port } else { port + 1_000 };
                bench.receive(port, &packet);
                let sent = probes(bench);
                assert_eq!(sent.len(), 1, "turn {turn} of {rate}");
                assert_eq!(sent[0].0, path(port).remote);
                bench.receive(port, &answer(&sent[0].1, PEER_PASSWORD));
                let transport = bench.core.transports.get(of).unwrap();
                assert_eq!(transport.path, Some(path(port)));
            }
        });
    }
}

#[test]
fn a_check_from_a_new_address_is_answered_and_followed_during_a_flood() {
    let (mut ann, mut bench) = (MediaPeer::new(), Bench::in_call());
    bench.receive(1, &ann.next());
    bench.sent();
    for number in 0..100_000 {
        junk_from(
            &mut bench,
            address_in_network(number % 1_000),
            &junk(number),
        );
    }
    bench.receive(30, &check("ben1", PASSWORD, true));
    bench.answered(&[30]);
    let transport = bench.core.transports.get(BEN).unwrap();
    assert_eq!(transport.path, Some(path(30)));
}

#[test]
fn a_peer_that_sends_from_many_addresses_evicts_no_other_peer() {
    let (mut ann, mut ben) = (MediaPeer::new(), MediaPeer::new());
    let mut bench = Bench::in_call();
    bench.receive(1, &ann.next());
    bench.receive(2, &ben.report());
    bench.sent();
    for number in 0..2_000 {
        junk_from(&mut bench, address_in_network(number), &ann.next());
        bench.sent();
    }
    assert!(bench.core.unverified_peers.by_address.len() <= 8);
    bench.receive(40, &ben.report());
    let sent = probes(&bench);
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].0, path(40).remote);
}

#[test]
fn a_network_that_guesses_right_gets_only_its_share_of_trial_decryptions() {
    let mut trials = super::TrialBudget::default();
    let now = std::time::Instant::now();
    let taken = |trials: &mut super::TrialBudget, network: usize, times: usize| {
        let ip = super::network_of(address_in_network(network).remote.ip());
        (0..times).filter(|_| trials.take(now, ip, 8)).count()
    };
    assert_eq!(taken(&mut trials, 0, 10_000), (16 + 2_048) / 8);
    for network in 1..1_000 {
        assert!(taken(&mut trials, network, 1_000) >= 2);
    }
    assert_eq!(taken(&mut trials, 5_000, 10), 2);
}

#[test]
fn peers_that_share_an_ssrc_are_tried_in_rotation() {
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
