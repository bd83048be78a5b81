//! Any order and timing of sequence numbers produces bounded feedback.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealroute_forward::TwccReceiver;
use std::time::{Duration, Instant};

fuzz_target!(|arrivals: Vec<(u16, u16)>| {
    let mut receiver = TwccReceiver::new();
    let mut now = Instant::now();
    let mut feedbacks = 0;
    for (pause_ms, sequence) in &arrivals {
        now += Duration::from_millis(u64::from(*pause_ms));
        receiver.record(now, *sequence);
        let mut out = Vec::new();
        while receiver.poll_feedback(now, 1, 2, &mut out) {
            assert!(out.len() <= 1_200 && out.len() % 4 == 0);
            out.clear();
            feedbacks += 1;
        }
    }
    assert!(feedbacks <= arrivals.len());
});
