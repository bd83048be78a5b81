//! What a worker's thread asks of the system's scheduler.
#![allow(unsafe_code)]

use std::mem;

/// Of `SCHED_RR`: the least of the real-time priorities, as telephone exchanges run their media.
const REAL_TIME: u32 = 1;
/// A nice value: as much before others as a desktop's sound server.
const NICE: i32 = -11;
/// Nanoseconds, the least that the kernel takes. Threads share the time of a core as before, in
/// shorter pieces: a thread whose pieces are short takes the core over when it wakes up, one with
/// the usual 3 ms waits until who computes has had his (Linux 6.12, `PREEMPT_SHORT` of EEVDF).
const SLICE_NS: u64 = 100_000;

/// Packets go before whatever else the process does: a burst of joins keeps Python busy for
/// seconds. Of the calling thread, and as far as the system lets it: real time and a lower nice
/// value take `CAP_SYS_NICE` or a limit (`RLIMIT_RTPRIO`, `RLIMIT_NICE`), a slice takes no right.
/// Real time leaves 5 % of each second to others, so that a core full of packets still admits.
pub(crate) fn prefer_this_thread() {
    let fair = |nice| (libc::SCHED_OTHER, nice, 0, SLICE_NS);
    let present = rustix::process::getpriority_process(None).unwrap_or(0);
    let mut wishes = [(libc::SCHED_RR, 0, REAL_TIME, 0), fair(NICE), fair(present)].into_iter();
    // Where nothing is granted, all is as before.
    let _ = wishes.any(|(policy, nice, priority, slice_ns)| ask(policy, nice, priority, slice_ns));
}

fn ask(policy: i32, nice: i32, priority: u32, slice_ns: u64) -> bool {
    let attributes = libc::sched_attr {
        size: mem::size_of::<libc::sched_attr>() as u32,
        sched_policy: policy as u32,
        sched_flags: 0,
        sched_nice: nice,
        sched_priority: priority,
        sched_runtime: slice_ns,
        sched_deadline: 0,
        sched_period: 0,
    };
    // SAFETY: the kernel reads `size` bytes of `attributes`, which outlives the call.
    let result = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
    result == 0
}
