//! The wall clock, for stamps (comparable with kernel receive times) and pacing.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The time in nanoseconds since 1970, on the clock of kernel receive timestamps.
pub fn unix_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_nanos() as u64)
}

/// Sleeps until `due_unix_ns`; returns immediately if it has passed.
pub fn sleep_until(due_unix_ns: u64) {
    let now = unix_ns();
    if due_unix_ns > now {
        std::thread::sleep(Duration::from_nanos(due_unix_ns - now));
    }
}
