//! A modified check is answered only if its integrity still holds.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealroute_transport::stun::{self, BindingRequest};
use sealroute_transport::{IceLite, IceOutcome, PeerAddress};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

const PASSWORD: &str = "a password of the server";

fuzz_target!(|input: (Vec<u8>, Vec<(u8, u8)>)| {
    let (tail, changes) = input;
    let request = BindingRequest {
        transaction_id: [3; 12],
        username: "server:client",
        priority: 1,
        controlling: 5,
        use_candidate: true,
    };
    let mut datagram = vec![0; 200];
    let length = stun::write_binding_request(&request, PASSWORD.as_bytes(), &mut datagram);
    datagram.truncate(length);
    datagram.extend_from_slice(&tail);
    for (at, value) in changes {
        if let Some(byte) = datagram.get_mut(usize::from(at)) {
            *byte = value;
        }
    }
    let mut ice = IceLite::new("server".into(), PASSWORD.into(), Duration::from_secs(30));
    let from = PeerAddress::from(SocketAddr::from(([192, 0, 2, 1], 9)));
    let mut out = [0; 128];
    match ice.handle_request(Instant::now(), from, true, &datagram, &mut out) {
        IceOutcome::Reply { length, .. } => {
            assert!(length <= datagram.len());
            assert!(stun::verify_integrity(&datagram, PASSWORD.as_bytes()).is_ok());
            assert_eq!(ice.remote(), Some(from));
        }
        IceOutcome::Ignored(_) => assert_eq!(ice.remote(), None),
    }
});
