//! Scheduling of a worker's thread.
#![allow(unsafe_code)]

use std::mem;

/// The nice value that desktop audio servers use.
const NICE: i32 = -11;
/// Time slice in nanoseconds, the minimum that the kernel accepts. The share of CPU time stays the
/// same, in shorter slices: a waking thread with a short slice preempts the running one, while one
/// with the default of 3 ms waits until the running slice ends (Linux 6.12, `PREEMPT_SHORT` of
/// EEVDF).
const SLICE_NS: u64 = 100_000;

/// Prefers the calling thread, because a burst of joins keeps Python busy for seconds. Best effort:
/// a lower nice value needs `CAP_SYS_NICE` or a limit (`RLIMIT_NICE`); a slice needs no privilege,
/// and older kernels ignore it.
pub(crate) fn prefer_this_thread() {
    if !set_scheduling(NICE) {
        // Without the privilege, keep the nice value and set the slice only.
        set_scheduling(rustix::process::getpriority_process(None).unwrap_or(0));
    }
    wake_on_time();
}

/// The default timer slack of 50 µs is too long for waits of 100 µs.
fn wake_on_time() {
    // SAFETY: takes a number of nanoseconds and no memory.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1_000_u64) };
}

fn set_scheduling(nice: i32) -> bool {
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
