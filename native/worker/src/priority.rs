//! What a worker's thread asks of the system's scheduler.
#![allow(unsafe_code)]

use std::mem;

/// A nice value: as much before others as a desktop's sound server.
const NICE: i32 = -11;
/// Nanoseconds, the least that the kernel takes. Threads share the time of a core as before, in
/// shorter pieces: a thread whose pieces are short takes the core over when it wakes up, one with
/// the usual 3 ms waits until who computes has had his (Linux 6.12, `PREEMPT_SHORT` of EEVDF).
const SLICE_NS: u64 = 100_000;

/// Packets go before whatever else the process does: a burst of joins keeps Python busy for
/// seconds. Of the calling thread, and as far as the system lets it: a lower nice value takes
/// `CAP_SYS_NICE` or a limit (`RLIMIT_NICE`), a slice takes no right, an older kernel knows none.
pub(crate) fn prefer_this_thread() {
    if !ask(NICE) {
        // Where nothing is granted, all is as before.
        ask(rustix::process::getpriority_process(None).unwrap_or(0));
    }
    wake_on_time();
}

/// The system's 50 us of slack would be more than the wait for a burst itself.
fn wake_on_time() {
    // SAFETY: takes a number of nanoseconds and no memory.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1_000_u64) };
}

fn ask(nice: i32) -> bool {
    let attributes = libc::sched_attr {
        size: mem::size_of::<libc::sched_attr>() as u32,
        sched_policy: libc::SCHED_OTHER as u32,
        sched_flags: 0,
        sched_nice: nice,
        sched_priority: 0,
        sched_runtime: SLICE_NS,
        sched_deadline: 0,
        sched_period: 0,
    };
    // SAFETY: the kernel reads `size` bytes of `attributes`, which outlives the call.
    let result = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
    result == 0
}
