//! Properties of path migration for any sequence of packets: an address that has not responded to a
//! probe is sent at most three times the bytes received from it, 10 kB in all; and an honest peer
//! that migrates is always found.

use std::collections::HashMap;
use std::time::Duration;

use proptest::prelude::*;
use sealroute_transport::stun;

use crate::api::{Command, Secret, SendDtls};
use crate::core::bench::{
    ANN, BEN, Bench, MediaPeer, PASSWORD, PEER_PASSWORD, answer, check, path,
};

/// Ports of the peers, and ports of third parties that send nothing themselves.
const PEERS: std::ops::Range<u16> = 1..10;
const THIRD: std::ops::Range<u16> = 60..64;

#[derive(Clone, Debug)]
enum Step {
    /// A valid check of one of the peers, from any port.
    Check {
        of_ben: bool,
        port: u16,
        nominates: bool,
    },
    /// The peer responds to the probes sent to its port.
    Answer {
        port: u16,
    },
    /// A third party without keys sends a copy of an observed response.
    CopyAnswer {
        port: u16,
    },
    Media {
        port: u16,
        copied: bool,
    },
    Report {
        port: u16,
    },
    Handshake,
    Introduce {
        of_ben: bool,
    },
    Wait {
        milliseconds: u64,
    },
}

fn any_port() -> impl Strategy<Value = u16> {
    prop_oneof![PEERS, THIRD]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (any::<bool>(), any_port(), any::<bool>())
            .prop_map(|(of_ben, port, nominates)| Step::Check { of_ben, port, nominates }),
        3 => PEERS.prop_map(|port| Step::Answer { port }),
        1 => THIRD.prop_map(|port| Step::CopyAnswer { port }),
        3 => (any_port(), any::<bool>()).prop_map(|(port, copied)| Step::Media { port, copied }),
        2 => any_port().prop_map(|port| Step::Report { port }),
        1 => Just(Step::Handshake),
        1 => any::<bool>().prop_map(|of_ben| Step::Introduce { of_ben }),
        3 => prop_oneof![0_u64..300, 0_u64..12_000]
            .prop_map(|milliseconds| Step::Wait { milliseconds }),
    ]
}

/// The bytes received from and sent to each port, and its outstanding probes.
struct Ledger {
    bench: Bench,
    ann: MediaPeer,
    ben: MediaPeer,
    last_media: Vec<u8>,
    last_answer: Vec<u8>,
    received: HashMap<u16, usize>,
    sent: HashMap<u16, usize>,
    probes: HashMap<u16, Vec<Vec<u8>>>,
}

impl Ledger {
    fn new() -> Self {
        Self {
            bench: Bench::in_call(),
            ann: MediaPeer::new(),
            ben: MediaPeer::new(),
            last_media: vec![0x80; 40],
            last_answer: vec![0; 20],
            received: HashMap::new(),
            sent: HashMap::new(),
            probes: HashMap::new(),
        }
    }

    fn receive(&mut self, port: u16, datagram: &[u8]) {
        *self.received.entry(port).or_default() += datagram.len();
        self.bench.receive(port, datagram);
        self.note();
    }

    fn note(&mut self) {
        for (to, datagram) in self.bench.sent() {
            *self.sent.entry(to.port()).or_default() += datagram.len();
            if stun::parse_request(&datagram).is_ok() {
                self.probes.entry(to.port()).or_default().push(datagram);
            }
        }
        self.bench.events();
    }

    fn answer(&mut self, port: u16) {
        for probe in self.probes.remove(&port).unwrap_or_default() {
            self.last_answer = answer(&probe, PEER_PASSWORD);
            let reply = self.last_answer.clone();
            self.receive(port, &reply);
        }
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Check {
                of_ben,
                port,
                nominates,
            } => {
                let ufrag = if of_ben { "ben1" } else { "ann1" };
                self.receive(port, &check(ufrag, PASSWORD, nominates));
            }
            Step::Answer { port } => self.answer(port),
            Step::CopyAnswer { port } => {
                let copy = self.last_answer.clone();
                self.receive(port, &copy);
            }
            Step::Media { port, copied } => {
                if !copied {
                    self.last_media = self.ann.next();
                }
                let packet = self.last_media.clone();
                self.receive(port, &packet);
            }
            Step::Report { port } => {
                let report = self.ben.report();
                self.receive(port, &report);
            }
            Step::Handshake => self.bench.apply(Command::SendDtls(SendDtls {
                transport: BEN,
                datagram: Secret(vec![22; 700].into()),
            })),
            Step::Introduce { of_ben } => self.bench.introduce(if of_ben { BEN } else { ANN }),
            Step::Wait { milliseconds } => self.bench.pass(Duration::from_millis(milliseconds)),
        }
        self.note();
    }

    fn check_bound(&self) -> Result<(), TestCaseError> {
        for port in THIRD {
            let received = self.received.get(&port).copied().unwrap_or_default();
            let sent = self.sent.get(&port).copied().unwrap_or_default();
            prop_assert!(sent <= 3 * received, "{port}: {sent} for {received}");
            prop_assert!(sent <= 10_000, "{port}: {sent}");
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_address_without_a_response_is_never_sent_more_than_the_bound(
        steps in proptest::collection::vec(step(), 1..120)
    ) {
        let mut ledger = Ledger::new();
        for step in &steps {
            ledger.step(step);
            ledger.check_bound()?;
        }
    }

    /// After any sequence of steps, a peer that moves to a new port, checks from there every 50 ms
    /// and responds to probes gets its media there within a second.
    #[test]
    fn an_honest_peer_that_migrates_is_always_found(
        steps in proptest::collection::vec(step(), 1..80),
        port in 40_u16..50,
    ) {
        let mut ledger = Ledger::new();
        for step in &steps {
            ledger.step(step);
        }
        for _ in 0..20 {
            ledger.receive(port, &check("ben1", PASSWORD, true));
            ledger.answer(port);
            ledger.bench.pass(Duration::from_millis(50));
            ledger.note();
        }
        let place = ledger.bench.core.transports.get(BEN).and_then(|found| found.path);
        prop_assert_eq!(place, Some(path(port)));
    }
}
