//! An uplink and a downlink that are each other's other end, in virtual time and without a socket.

#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use sealroute_e2ee::{Codec, Track};
use sealroute_transport::{Downlink, LinkEvent, TransportError, Uplink};

struct Pair {
    up: Uplink,
    down: Downlink,
    now: Instant,
    addresses: [SocketAddr; 2],
}

impl Pair {
    fn new() -> Self {
        let now = Instant::now();
        let addresses = ["127.0.0.1:5001", "127.0.0.1:5002"].map(|text| text.parse().unwrap());
        Self {
            up: Uplink::new(addresses[0], now).unwrap(),
            down: Downlink::new(addresses[1], now).unwrap(),
            now,
            addresses,
        }
    }

    /// The offer, and the answer to it.
    fn negotiate(&mut self) -> (String, String) {
        let offered = self.up.offer(true, Some(Codec::Vp8), 7).unwrap();
        let kinds: Vec<Track> = offered.lines.iter().map(|(track, _)| *track).collect();
        assert_eq!(kinds, [Track::Audio, Track::Video]);
        let answer = self.down.answer(&offered.sdp).unwrap();
        (offered.sdp, answer)
    }

    /// What happened within so much virtual time.
    fn run(&mut self, time: Duration) -> (Vec<LinkEvent>, Vec<LinkEvent>) {
        let end = self.now + time;
        let (mut of_up, mut of_down) = (Vec::new(), Vec::new());
        while self.now < end {
            while let Some(datagram) = self.up.next_datagram() {
                self.down
                    .on_datagram(self.addresses[0], &datagram.contents, self.now);
            }
            while let Some(datagram) = self.down.next_datagram() {
                self.up
                    .on_datagram(self.addresses[1], &datagram.contents, self.now);
            }
            of_up.extend(std::iter::from_fn(|| self.up.next_event()));
            of_down.extend(std::iter::from_fn(|| self.down.next_event()));
            self.now += Duration::from_millis(1);
            self.up.on_time(self.now);
            self.down.on_time(self.now);
        }
        (of_up, of_down)
    }
}

#[test]
fn both_ends_connect_and_an_m_line_has_the_codec_that_is_sent() {
    let mut pair = Pair::new();
    let (offer, answer) = pair.negotiate();
    assert!(offer.contains(" VP8/90000") && !offer.contains(" VP9/90000"));
    pair.up.apply(&answer).unwrap();
    let (of_up, of_down) = pair.run(Duration::from_secs(3));
    assert!(of_up.contains(&LinkEvent::Connected));
    assert!(of_down.contains(&LinkEvent::Connected));
    assert!(pair.up.is_connected() && pair.down.is_connected());
}

#[test]
fn an_end_that_has_another_certificate_than_was_named_does_not_connect() {
    let mut pair = Pair::new();
    let (_, answer) = pair.negotiate();
    let at = answer.find("a=fingerprint:sha-256 ").unwrap() + 22;
    let named = &answer[at..at + 95];
    let other = vec!["A0"; 32].join(":");
    pair.up.apply(&answer.replace(named, &other)).unwrap();
    let (of_up, _) = pair.run(Duration::from_secs(3));
    assert!(!of_up.contains(&LinkEvent::Connected));
    assert!(!pair.up.is_connected());
}

#[test]
fn descriptions_that_cannot_be_used_are_refused() {
    let mut pair = Pair::new();
    let (offer, answer) = pair.negotiate();
    assert_eq!(pair.up.apply("nonsense"), Err(TransportError::Description));
    assert_eq!(
        pair.down.answer("nonsense"),
        Err(TransportError::Description)
    );
    let mid = offer
        .lines()
        .find(|line| line.starts_with("a=mid:"))
        .unwrap();
    let long = format!("{mid}{}", "0".repeat(17));
    assert_eq!(
        pair.down.answer(&offer.replace(mid, &long)),
        Err(TransportError::Mid)
    );
    pair.up.drop_offer();
    assert_eq!(pair.up.apply(&answer), Err(TransportError::NoOffer));
    assert_eq!(
        pair.up.send("none", &[], 0, pair.now),
        Err(TransportError::NoLine)
    );
}
