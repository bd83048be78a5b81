//! A call over lossy links in both directions: what arrives in time.
#![allow(missing_docs, clippy::expect_used, clippy::panic)]

mod support;

use sealroute_forward::{Codec, PayloadAccess};
use sealroute_netem::{Conditions, Link};
use sealroute_rtp::RtpPacket;
use sealroute_rtp::rtcp::{Compound, RtcpPacket};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use support::numbered_video::{MILLISECOND, media};
use support::wire::retransmission;
use support::*;

/// The jitter buffer of a call over a bad network.
const DEADLINE: Duration = Duration::from_secs(1);
const PACKETS: u16 = 3_000;

/// A receiver that sends NACKs for every gap each 60 ms.
#[derive(Default)]
struct Receiver {
    arrived: BTreeMap<u16, Instant>,
    asked: BTreeMap<u16, Instant>,
}

impl Receiver {
    fn take(&mut self, now: Instant, datagram: &[u8]) {
        let packet = RtpPacket::parse(datagram).expect("RTP");
        let number = match packet.ssrc() {
            DOWN_TRACK_SSRC => packet.sequence().0,
            DOWN_TRACK_RTX_SSRC => u16::from_be_bytes([packet.payload()[0], packet.payload()[1]]),
            other => panic!("SSRC {other:#x}"),
        };
        self.arrived.entry(number).or_insert(now);
    }

    fn missing(&mut self, now: Instant) -> Vec<u16> {
        let highest = self.arrived.keys().next_back().copied().unwrap_or_default();
        let lowest = highest.saturating_sub(400);
        let gaps = (lowest..highest).filter(|number| !self.arrived.contains_key(number));
        let due = |number: &u16| {
            self.asked
                .get(number)
                .is_none_or(|&at| now >= at + 60 * MILLISECOND)
        };
        let due: Vec<u16> = gaps.filter(due).collect();
        self.asked.extend(due.iter().map(|&number| (number, now)));
        due
    }
}

/// A publisher that answers NACKs, a router, a subscriber that sends them; four lossy links.
struct Call {
    session: Session,
    up: Link,
    up_rtcp: Link,
    down: Link,
    down_rtcp: Link,
    rtx: u16,
    sent: BTreeMap<u16, Instant>,
    receiver: Receiver,
}

impl Call {
    fn new(seed: u64, (up, down): (f64, f64), with_rtx: bool) -> Self {
        let mut session = Session::new(PayloadAccess::Opaque);
        session.publish(PUBLISHER, UPLINK, up_track(Codec::Vp8));
        session.subscribe(
            SUBSCRIBER,
            DOWNLINK,
            if with_rtx {
                down_track()
            } else {
                down_track_without_rtx()
            },
        );
        let link = |index: u64, loss: f64| {
            let conditions = Conditions {
                loss,
                delay: 15 * MILLISECOND,
                jitter: 4 * MILLISECOND,
                ..Conditions::default()
            };
            Link::new(seed * 10 + index, conditions)
        };
        Self {
            session,
            up: link(0, up),
            up_rtcp: link(1, up),
            down: link(2, down),
            down_rtcp: link(3, down),
            rtx: 0,
            sent: BTreeMap::new(),
            receiver: Receiver::default(),
        }
    }

    fn answer_publisher(&mut self, compound: &[u8]) {
        for packet in Compound::new(compound) {
            if let RtcpPacket::Nack { lost, .. } = packet {
                for sequence in lost {
                    self.rtx += 1;
                    let again = retransmission(self.rtx, &media(sequence.0));
                    self.up.send(self.session.now, &again.bytes());
                }
            }
        }
    }

    fn deliver(&mut self) {
        let now = self.session.now;
        while let Some(datagram) = self.up.receive(now) {
            self.session.rtp(&datagram);
        }
        while let Some(datagram) = self.down_rtcp.receive(now) {
            self.session.rtcp(DOWNLINK, &datagram);
        }
        while let Some(datagram) = self.up_rtcp.receive(now) {
            self.answer_publisher(&datagram);
        }
        while let Some(datagram) = self.down.receive(now) {
            self.receiver.take(now, &datagram);
        }
        for sent in self.session.out.rtp.drain(..) {
            self.down.send(now, &sent.bytes);
        }
        for sent in self
            .session
            .out
            .rtcp
            .drain(..)
            .filter(|sent| sent.to == UPLINK)
        {
            self.up_rtcp.send(now, &sent.bytes);
        }
        let missing = self.receiver.missing(now);
        if !missing.is_empty() {
            self.down_rtcp.send(now, &nack(DOWN_TRACK_SSRC, &missing));
        }
    }

    fn run(&mut self) {
        for number in 0..PACKETS {
            // The first packet starts the stream; its loss is the subject of another test.
            if number == 0 {
                self.session.rtp(&media(0).bytes());
            } else {
                self.up.send(self.session.now, &media(number).bytes());
            }
            self.sent.insert(number, self.session.now);
            for _ in 0..3 {
                self.session.pass(MILLISECOND);
                self.deliver();
            }
        }
        for _ in 0..1_500 {
            self.session.pass(MILLISECOND);
            self.deliver();
        }
    }

    /// Packets that missed the deadline.
    fn late(&self) -> Vec<u16> {
        let late = |(number, at): &(&u16, &Instant)| {
            let arrived = self.receiver.arrived.get(number);
            arrived.is_none_or(|&arrived| arrived > **at + DEADLINE)
        };
        // No later packet reveals the loss of the last ones.
        let sent = self.sent.iter().take(usize::from(PACKETS) - 20);
        sent.filter(late).map(|(&number, _)| number).collect()
    }
}

#[test]
fn at_light_loss_on_all_four_links_everything_arrives_in_time() {
    for (seed, loss) in [(1, 0.05), (2, 0.10), (3, 0.13)] {
        for with_rtx in [true, false] {
            let mut call = Call::new(seed, (loss, loss), with_rtx);
            call.run();
            assert!(call.up.lost() > 100 && call.down.lost() > 100);
            assert_eq!(call.late(), [0_u16; 0], "{loss} {with_rtx}");
        }
    }
}

#[test]
fn at_heavy_loss_of_a_publisher_all_but_one_in_a_thousand_arrives_in_time() {
    for (seed, loss) in [(4, 0.20), (5, 0.30)] {
        let mut call = Call::new(seed, (loss, 0.02), true);
        call.run();
        // Ten tries, each of which fails with 1 - 0.7 * 0.7, leave one loss in 840.
        let late = call.late();
        assert!(
            late.len() <= usize::from(PACKETS) / 1_000,
            "{loss}: {late:?}"
        );
    }
}

#[test]
fn at_heavy_loss_of_a_subscriber_only_the_share_for_repeats_leaves_gaps() {
    for (seed, loss) in [(6, 0.20), (7, 0.30)] {
        let mut call = Call::new(seed, (0.0, loss), true);
        call.run();
        let late = call.late().len();
        let refused = call.session.dropped("resend_limit");
        assert!(late == 0 || refused > 0, "{loss}: {late} late");
        // A sixth of the media is retransmitted, and the loss takes its share of that again.
        let lost = f64::from(PACKETS) * loss;
        let made_good = f64::from(PACKETS) * 0.18 * (1.0 - loss);
        assert!(
            (late as f64) < lost - made_good * 0.9,
            "{loss}: {late} late"
        );
    }
}
