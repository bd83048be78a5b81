//! Every datagram that the gate passes consists of whole records.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealroute_transport::check_datagram;

fuzz_target!(|datagram: &[u8]| {
    if check_datagram(datagram).is_err() {
        return;
    }
    let mut rest = datagram;
    while !rest.is_empty() {
        assert!(matches!(rest[0], 20..=22) && rest[1] == 0xFE && rest[3] == 0 && rest[4] <= 1);
        // Unprotected alerts never pass: anybody can forge one.
        assert!(rest[0] != 21 || rest[4] == 1);
        let length = usize::from(u16::from_be_bytes([rest[11], rest[12]]));
        rest = &rest[13 + length..];
    }
});
