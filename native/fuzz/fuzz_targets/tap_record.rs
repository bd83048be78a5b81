//! A record of a tap is read without a panic, and its header is written back the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealroute_rtp::tap_record::{HEADER_BYTES, Record};

fuzz_target!(|bytes: &[u8]| {
    let Ok(record) = Record::parse(bytes) else {
        return;
    };
    let _ = record.lost();
    assert_eq!(record.body.len(), bytes.len() - HEADER_BYTES);
    let mut written = record.header.to_bytes();
    // Flags are ignored.
    written[1] = bytes[1];
    assert_eq!(written[..], bytes[..HEADER_BYTES]);
});
