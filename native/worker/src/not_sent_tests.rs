use super::*;
use crate::api::{NotSent, RouterHandle, Snapshot};
use crate::core::bench::{BEN, Bench, MediaPeer, check};

const BENS_SSRC: u32 = 88;

fn snapshot(bench: &Bench) -> Snapshot {
    let found = bench.core.snapshot(bench.now, RouterHandle(1));
    found.expect("the session is open")
}

fn not_sent(bench: &Bench) -> Vec<NotSent> {
    let of_ben = |one: &&crate::api::TransportSnapshot| one.transport == BEN;
    let found = snapshot(bench).transports;
    found.iter().find(of_ben).expect("Ben's").not_sent.clone()
}

fn row(reason: &'static str, packets: u64) -> NotSent {
    NotSent {
        ssrc: BENS_SSRC,
        reason,
        packets,
    }
}

#[test]
fn packets_that_the_kernel_refuses_are_attributed_to_stream_and_peer() {
    let (mut bench, mut peer) = (Bench::in_call(), MediaPeer::new());
    bench.receive(1, &peer.next());
    assert_eq!(not_sent(&bench), []);
    for (code, reason) in [
        (libc::EMSGSIZE, "send_too_large"),
        (libc::EAGAIN, "send_buffer_full"),
        (libc::EHOSTUNREACH, "send_failed"),
    ] {
        bench.refuse(Some(code));
        let before = not_sent(&bench).len();
        bench.receive(1, &peer.next());
        bench.receive(1, &peer.next());
        let after = not_sent(&bench);
        assert!(after.contains(&row(reason, 2)), "{after:?}");
        assert_eq!(after.len(), before + 1);
    }
    bench.refuse(None);
    let before = not_sent(&bench);
    bench.receive(1, &peer.next());
    assert_eq!(not_sent(&bench), before);
    let down_track = &snapshot(&bench).forwarding.down_tracks[0];
    assert_eq!((down_track.ssrc, down_track.packets), (BENS_SSRC, 8));
}

#[test]
fn media_without_an_address_is_attributed_to_the_stream() {
    let (mut bench, mut peer) = (Bench::in_call(), MediaPeer::new());
    for _ in 0..4 {
        bench.pass(std::time::Duration::from_secs(10));
        bench.receive(1, &check("ann1", crate::core::bench::PASSWORD, false));
    }
    for _ in 0..3 {
        bench.receive(1, &peer.next());
    }
    assert_eq!(not_sent(&bench), [row("send_no_address", 3)]);
}

#[test]
fn only_rtp_has_a_stream() {
    let rtp = [0x80, 111, 0, 1, 0, 0, 0, 0, 0, 0, 1, 2, 9];
    assert_eq!(ssrc_of_rtp(&rtp), Some(258));
    let report = [0x81, 201, 0, 7, 0, 0, 0, 1, 0, 0, 0, 0];
    assert_eq!(ssrc_of_rtp(&report), None);
    assert_eq!(
        ssrc_of_rtp(&[22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        None
    );
    assert_eq!(ssrc_of_rtp(&rtp[..11]), None);
}

#[test]
fn the_rows_of_a_peer_are_bounded() {
    let mut noted = NotSentPackets::default();
    for ssrc in 0..3_000 {
        noted.note(ssrc, NetworkDrop::SendFailed, 1);
    }
    noted.note(0, NetworkDrop::SendFailed, 4);
    assert_eq!(noted.snapshot().len(), MAX_ROWS);
    assert_eq!(noted.snapshot()[0].packets, 5);
}
