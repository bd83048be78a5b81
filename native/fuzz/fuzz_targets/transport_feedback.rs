//! Parsing any bytes as feedback terminates, with a bounded number of statuses in sequence order.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealroute_rtp::{TransportFeedback, remb_rate};

fuzz_target!(|body: &[u8]| {
    let _ = remb_rate(body);
    let Some(feedback) = TransportFeedback::parse(body) else {
        return;
    };
    let statuses: Vec<_> = feedback.collect();
    assert!(statuses.len() <= 4_096);
    for pair in statuses.windows(2) {
        assert_eq!(pair[1].sequence, pair[0].sequence.wrapping_add(1));
    }
});
