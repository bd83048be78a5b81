//! No message authenticates without the password.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealroute_transport::stun;

fuzz_target!(|datagram: &[u8]| {
    if let Ok(request) = stun::parse_request(datagram) {
        assert_eq!(request.transaction_id, datagram[8..20]);
        assert!(stun::parse_response(datagram).is_err());
    }
    let _ = stun::parse_response(datagram);
    assert!(stun::verify_integrity(datagram, b"a password no fuzzer guesses").is_err());
});
