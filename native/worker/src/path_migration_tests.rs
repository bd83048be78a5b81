use std::time::Duration;

use sealroute_forward::TransportHandle;
use sealroute_transport::stun;

use crate::api::{Command, Secret, SendDtls};
use crate::core::bench::{
    ANN, BEN, Bench, MediaPeer, PASSWORD, PEER_PASSWORD, answer, check, path,
};
use crate::drop_reason::NetworkDrop;
use crate::path::Path;

const REPORT: Duration = Duration::from_millis(100);

/// Ann publishes and Ben subscribes; the ICE credentials of both are known.
fn call() -> Bench {
    Bench::in_call()
}

fn selected_path(bench: &Bench, of: TransportHandle) -> Option<Path> {
    bench.core.transports.get(of).unwrap().path
}

/// The probes sent, with the ports they went to.
fn checks(bench: &Bench) -> Vec<(u16, Vec<u8>)> {
    let sent = bench.sent().into_iter();
    sent.filter(|(_, datagram)| stun::parse_request(datagram).is_ok())
        .map(|(to, datagram)| (to.port(), datagram))
        .collect()
}

/// A call in which Ben, validated at ports 2 and 3, has reported on Ann's stream for two seconds.
fn call_with_reports(ann: &mut MediaPeer, ben: &mut MediaPeer) -> Bench {
    let mut bench = call();
    bench.receive(3, &check("ben1", PASSWORD, false));
    for _ in 0..20 {
        talk(&mut bench, ann);
        bench.receive(2, &ben.report());
        bench.pass(REPORT);
    }
    bench.sent();
    bench
}

fn talk(bench: &mut Bench, ann: &mut MediaPeer) {
    for _ in 0..10 {
        bench.receive(1, &ann.next());
    }
}

#[test]
fn a_peer_with_a_new_address_is_probed_there_after_its_first_packet_and_migrates_by_its_response() {
    let (mut ann, mut ben) = (MediaPeer::new(), MediaPeer::new());
    let mut bench = call();
    bench.receive(1, &ann.next());
    bench.receive(2, &ben.report());
    bench.sent();
    for (of, port, packet) in [(ANN, 10, ann.next()), (BEN, 20, ben.report())] {
        bench.receive(port, &packet);
        let probes = checks(&bench);
        assert_eq!(probes.len(), 1);
        assert_eq!(probes[0].0, port);
        assert_ne!(selected_path(&bench, of), Some(path(port)));
        bench.receive(port, &answer(&probes[0].1, PEER_PASSWORD));
        assert_eq!(selected_path(&bench, of), Some(path(port)));
    }
    bench.receive(10, &ann.next());
    assert_eq!(bench.sent()[0].0, path(20).remote);
    assert_eq!(bench.core.counters.peer_moves, 2);
}

#[test]
fn a_copied_packet_causes_no_migration() {
    let (mut ann, mut bench) = (MediaPeer::new(), call());
    bench.receive(1, &ann.next());
    bench.sent();
    let packet = ann.next();
    bench.receive(66, &packet);
    let probes = checks(&bench);
    assert_eq!(probes.len(), 1);
    // The copier does not know the password, and a response of another address does not count here.
    bench.receive(66, &answer(&probes[0].1, "a guess"));
    bench.receive(67, &answer(&probes[0].1, PEER_PASSWORD));
    assert_eq!(selected_path(&bench, ANN), Some(path(1)));
    // The original packet is still accepted; a copy of a received packet is not probed.
    bench.receive(1, &packet);
    assert_eq!(bench.dropped(NetworkDrop::SrtpReplayed), 0);
    bench.sent();
    bench.receive(68, &packet);
    assert!(checks(&bench).is_empty());
}

#[test]
fn packets_of_no_peer_cost_a_bounded_search_and_get_no_response() {
    let mut bench = call();
    bench.receive(1, &MediaPeer::new().next());
    bench.sent();
    for port in 100..12_100 {
        let mut packet = MediaPeer::new().next();
        packet[20] ^= 1;
        bench.receive(port, &packet);
    }
    assert!(bench.sent().is_empty());
    assert_eq!(bench.dropped(NetworkDrop::UnknownAddress), 12_000);
    // The trial budget of that second is used up.
    let mut ann = MediaPeer::new();
    ann.next();
    let (late, later) = (ann.next(), ann.next());
    bench.receive(30, &late);
    assert!(checks(&bench).is_empty());
    bench.pass(Duration::from_secs(1));
    bench.receive(30, &later);
    assert_eq!(checks(&bench).len(), 1);
}

#[test]
fn media_from_another_validated_address_is_followed_while_the_selected_one_is_silent() {
    let (mut ann, mut bench) = (MediaPeer::new(), call());
    bench.receive(1, &ann.next());
    bench.receive(10, &check("ann1", PASSWORD, false));
    bench.answered(&[10]);
    let early = ann.next();
    bench.receive(10, &early);
    assert_eq!(selected_path(&bench, ANN), Some(path(1)));
    bench.pass(Duration::from_millis(101));
    bench.receive(10, &early);
    assert_eq!(
        selected_path(&bench, ANN),
        Some(path(1)),
        "a replayed packet moved the peer"
    );
    bench.receive(10, &ann.next());
    assert_eq!(selected_path(&bench, ANN), Some(path(10)));
}

#[test]
fn a_validated_address_is_trusted_no_longer_than_consent_lasts() {
    let (mut ann, mut bench) = (MediaPeer::new(), call());
    bench.receive(1, &ann.next());
    bench.receive(10, &check("ann1", PASSWORD, false));
    for _ in 0..4 {
        bench.pass(Duration::from_secs(10));
        bench.receive(1, &check("ann1", PASSWORD, true));
    }
    bench.receive(10, &ann.next());
    assert_eq!(selected_path(&bench, ANN), Some(path(1)));
}

#[test]
fn a_silent_subscriber_gets_its_media_at_the_address_where_it_responds() {
    let (mut ann, mut ben) = (MediaPeer::new(), MediaPeer::new());
    let mut bench = call_with_reports(&mut ann, &mut ben);
    talk(&mut bench, &mut ann);
    bench.pass(Duration::from_millis(420));
    let probes = checks(&bench);
    let (_, probe) = probes.iter().find(|(port, _)| *port == 3).unwrap();
    assert!(probes.iter().any(|(port, _)| *port == 2));
    bench.receive(3, &answer(probe, PEER_PASSWORD));
    assert_eq!(selected_path(&bench, BEN), Some(path(3)));
    bench.receive(1, &ann.next());
    assert!(bench.sent().iter().any(|(to, _)| *to == path(3).remote));
    // Late packets over the failed path do not select it again.
    bench.pass(Duration::from_millis(500));
    bench.receive(2, &ben.report());
    assert_eq!(selected_path(&bench, BEN), Some(path(3)));
}

#[test]
fn a_subscriber_that_responds_at_its_address_stays_there() {
    let (mut ann, mut ben) = (MediaPeer::new(), MediaPeer::new());
    let mut bench = call_with_reports(&mut ann, &mut ben);
    talk(&mut bench, &mut ann);
    bench.pass(Duration::from_millis(300));
    let probes = checks(&bench);
    assert!(probes.iter().all(|(port, _)| *port == 2), "{probes:?}");
    bench.receive(2, &answer(&probes[0].1, PEER_PASSWORD));
    bench.pass(Duration::from_millis(200));
    assert!(checks(&bench).is_empty());
    assert_eq!(selected_path(&bench, BEN), Some(path(2)));
}

#[test]
fn peers_with_one_address_or_without_media_are_not_probed() {
    let (mut ann, mut ben) = (MediaPeer::new(), MediaPeer::new());
    let mut bench = call_with_reports(&mut ann, &mut ben);
    bench.pass(Duration::from_secs(5));
    assert!(checks(&bench).is_empty());
    let mut bench = call();
    for _ in 0..20 {
        talk(&mut bench, &mut ann);
        bench.receive(2, &ben.report());
        bench.pass(REPORT);
    }
    talk(&mut bench, &mut ann);
    bench.pass(Duration::from_secs(5));
    assert!(checks(&bench).is_empty());
}

#[test]
fn a_peer_that_was_away_almost_until_consent_expired_is_found_at_its_new_address() {
    let (mut ann, mut bench) = (MediaPeer::new(), call());
    bench.receive(1, &ann.next());
    bench.sent();
    bench.pass(Duration::from_millis(29_900));
    bench.receive(10, &ann.next());
    bench.answered(&[10]);
    assert_eq!(selected_path(&bench, ANN), Some(path(10)));
    bench.pass(Duration::from_secs(31));
    assert_eq!(
        selected_path(&bench, ANN),
        None,
        "the answer is consent for no longer than a check"
    );
}

#[test]
fn a_thousand_address_changes_are_all_followed() {
    let (mut ann, mut bench) = (MediaPeer::new(), call());
    bench.receive(1, &ann.next());
    for port in 1_000..2_000 {
        bench.sent();
        bench.pass(Duration::from_millis(50));
        bench.receive(port, &ann.next());
        bench.answered(&[port]);
        assert_eq!(selected_path(&bench, ANN), Some(path(port)));
    }
}

/// Bytes sent to a port.
fn bytes_to(bench: &Bench, port: u16) -> usize {
    let sent = bench.sent().into_iter();
    let there = sent.filter(|(to, _)| to.port() == port);
    there.map(|(_, datagram)| datagram.len()).sum()
}

#[test]
fn a_check_with_a_forged_source_sends_no_media_to_that_address() {
    let (mut ann, mut bench) = (MediaPeer::new(), call());
    let forged = check("ben1", PASSWORD, true);
    bench.receive(66, &forged);
    let mut to_third = bytes_to(&bench, 66);
    for _ in 0..1_500 {
        bench.receive(1, &ann.next());
        to_third += bytes_to(&bench, 66);
        bench.pass(Duration::from_millis(20));
    }
    to_third += bytes_to(&bench, 66);
    assert!((1..=3 * forged.len()).contains(&to_third), "{to_third}");
    assert!(bench.dropped(NetworkDrop::SendPathUnproven) > 0);
}

#[test]
fn a_flood_of_forged_checks_sends_ten_kilobytes_and_moves_no_peer() {
    let (mut ann, mut bench) = (MediaPeer::new(), call());
    let mut to_third = 0;
    for _ in 0..2_000 {
        bench.receive(66, &check("ben1", PASSWORD, true));
        bench.receive(1, &ann.next());
        to_third += bytes_to(&bench, 66);
        bench.pass(Duration::from_millis(5));
    }
    assert!((1_000..=10_000).contains(&to_third), "{to_third}");
    assert_eq!(selected_path(&bench, BEN), Some(path(2)));
}

#[test]
fn a_nominated_address_gets_media_after_its_response_and_the_old_one_until_then() {
    let (mut ann, mut bench) = (MediaPeer::new(), call());
    bench.receive(3, &check("ben1", PASSWORD, true));
    let probes = checks(&bench);
    bench.receive(1, &ann.next());
    assert!(bench.sent().iter().any(|(to, _)| to.port() == 2));
    bench.receive(3, &answer(&probes[0].1, PEER_PASSWORD));
    bench.receive(1, &ann.next());
    assert!(bench.sent().iter().all(|(to, _)| to.port() != 2));
    assert_eq!(selected_path(&bench, BEN), Some(path(3)));
}

#[test]
fn a_lost_probe_is_repeated_at_once() {
    let mut bench = call();
    bench.receive(3, &check("ben1", PASSWORD, true));
    bench.sent();
    bench.pass(Duration::from_millis(100));
    bench.answered(&[3]);
    assert_eq!(selected_path(&bench, BEN), Some(path(3)));
}

#[test]
fn a_peer_that_checks_but_never_responds_gets_media_for_thirty_seconds() {
    let (mut ann, mut bench) = (MediaPeer::new(), call());
    let mut seconds_with_media = Vec::new();
    for second in 0..40 {
        bench.receive(2, &check("ben1", PASSWORD, true));
        bench.receive(1, &ann.next());
        if bytes_to(&bench, 2) > 1_000 || selected_path(&bench, BEN).is_some() {
            seconds_with_media.push(second);
        }
        bench.pass(Duration::from_secs(1));
    }
    assert!(
        (29..=31).contains(&seconds_with_media.len()),
        "{seconds_with_media:?}"
    );
    // It is still known, and gets its media again as soon as it responds.
    bench.receive(2, &check("ben1", PASSWORD, true));
    bench.answered(&[2]);
    assert_eq!(selected_path(&bench, BEN), Some(path(2)));
}

#[test]
fn before_its_description_arrives_a_peer_gets_its_handshake_and_no_more() {
    let mut bench = Bench::new();
    let received = check("ben1", PASSWORD, true);
    bench.receive(2, &received);
    let send = |bench: &mut Bench| {
        bench.apply(Command::SendDtls(SendDtls {
            transport: BEN,
            datagram: Secret(vec![22; 200].into()),
        }));
    };
    send(&mut bench);
    assert!(bytes_to(&bench, 2) > 200);
    send(&mut bench);
    assert_eq!(bytes_to(&bench, 2), 0);
    assert_eq!(bench.dropped(NetworkDrop::SendPathUnproven), 0);
    bench.introduce(BEN);
    bench.pass(Duration::from_millis(50));
    bench.receive(2, &received);
    bench.answered(&[2]);
    assert_eq!(selected_path(&bench, BEN), Some(path(2)));
    send(&mut bench);
    assert_eq!(bytes_to(&bench, 2), 200);
}

/// A record with one `ClientHello` whose body has this many bytes (RFC 6347, section 4.2.2).
fn client_hello(bytes: u8) -> Vec<u8> {
    let mut record = vec![22, 0xFE, 0xFD, 0, 0, 0, 0, 0, 0, 0, 0, 0, bytes + 12];
    record.extend([1, 0, 0, bytes, 0, 0, 0, 0, 0, 0, 0, bytes]);
    record.resize(record.len() + usize::from(bytes), 7);
    record
}

#[test]
fn a_probe_that_exceeded_the_budget_leaves_with_the_next_handshake_datagram() {
    // Whatever a handshake that overtook the description has left of the budget.
    for spent in (10..=400).step_by(10) {
        let mut bench = Bench::new();
        bench.receive(2, &check("ben1", PASSWORD, true));
        bench.apply(Command::SendDtls(SendDtls {
            transport: BEN,
            datagram: Secret(vec![22; spent].into()),
        }));
        bench.introduce(BEN);
        bench.receive(2, &client_hello(200));
        bench.answered(&[2]);
        assert_eq!(selected_path(&bench, BEN), Some(path(2)), "{spent}");
    }
}

#[test]
fn a_check_does_not_take_an_address_where_another_peer_responded() {
    let mut bench = call();
    bench.receive(7, &check("ann1", PASSWORD, false));
    bench.answered(&[7]);
    bench.receive(7, &check("ben1", PASSWORD, true));
    assert_eq!(bench.dropped(NetworkDrop::StunAddressTaken), 1);
    let owner = bench.core.transports.by_address(path(7).peer());
    assert_eq!(owner, Some(ANN));
}

#[test]
fn copies_of_a_check_from_many_sources_prevent_no_migration() {
    let mut bench = call();
    for port in 1_000..1_200 {
        bench.receive(port, &check("ben1", PASSWORD, true));
    }
    bench.sent();
    bench.receive(3, &check("ben1", PASSWORD, true));
    bench.answered(&[3]);
    assert_eq!(selected_path(&bench, BEN), Some(path(3)));
}

#[test]
fn media_is_accepted_from_every_validated_address_and_sent_to_the_selected_one() {
    let mut bench = Bench::in_call();
    let owner = |bench: &Bench, port| bench.core.transports.by_address(path(port).peer());
    bench.receive(7, &check("ann1", PASSWORD, false));
    bench.receive(8, &check("ann1", "guess", true));
    assert_eq!((owner(&bench, 7), owner(&bench, 8)), (Some(ANN), None));
    assert_eq!(selected_path(&bench, ANN), Some(path(1)));
    // A NAT may reassign an address that this peer no longer uses.
    bench.receive(7, &check("ben1", PASSWORD, true));
    assert_eq!(owner(&bench, 7), Some(BEN));
    // A hostile peer's addresses are bounded.
    let kept = |bench: &Bench| {
        let mine = (0..1_000).filter(|port| owner(bench, *port) == Some(ANN));
        mine.collect::<Vec<_>>()
    };
    for port in 100..200 {
        bench.receive(port, &check("ann1", PASSWORD, false));
        bench.answered(&[port]);
    }
    assert_eq!(kept(&bench).len(), 16);
    let proven = kept(&bench);
    // Unproven addresses evict only some of the proven ones.
    for port in 200..300 {
        bench.receive(port, &check("ann1", PASSWORD, false));
    }
    let left = kept(&bench);
    assert_eq!(left.iter().filter(|port| **port >= 200).count(), 8);
    assert_eq!(left.iter().filter(|port| proven.contains(port)).count(), 8);
    assert_eq!(owner(&bench, 1), Some(ANN));
}

#[test]
fn a_peer_whose_consent_expired_returns_with_a_check_and_its_response() {
    let mut bench = call();
    bench.pass(Duration::from_secs(31));
    assert_eq!(selected_path(&bench, BEN), None);
    bench.sent();
    bench.receive(2, &check("ben1", PASSWORD, true));
    bench.pass(Duration::from_millis(10));
    bench.answered(&[2]);
    assert_eq!(selected_path(&bench, BEN), Some(path(2)));
}

#[test]
fn a_queued_handshake_leaves_as_soon_as_the_peer_has_responded() {
    let mut bench = Bench::new();
    bench.receive(2, &check("ben1", PASSWORD, true));
    let flight = |bench: &mut Bench| {
        bench.apply(Command::SendDtls(SendDtls {
            transport: BEN,
            datagram: Secret(vec![22; 900].into()),
        }));
    };
    flight(&mut bench);
    assert!(bytes_to(&bench, 2) < 900);
    bench.introduce(BEN);
    let left = bench.answered(&[2]);
    let whole = left.iter().filter(|(_, datagram)| datagram.len() == 900);
    assert_eq!(whole.count(), 1);
    // At most one flight is queued for a peer that never responds.
    let mut bench = Bench::new();
    bench.receive(2, &check("ben1", PASSWORD, true));
    (0..20).for_each(|_| flight(&mut bench));
    assert_eq!(bench.dropped(NetworkDrop::SendPathUnproven), 12);
}
