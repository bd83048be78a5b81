//! Calls of the program that run now: when an object was deleted, nothing of it is called any
//! more, and what is being called by another thread is waited for.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;

struct Calls {
    running: Vec<(ThreadId, u64)>,
    /// They wait for a callback of another thread to end: nobody waits for theirs.
    waiting: Vec<ThreadId>,
    closed: Vec<u64>,
}

static CALLS: Mutex<Calls> = Mutex::new(Calls {
    running: Vec::new(),
    waiting: Vec::new(),
    closed: Vec::new(),
});
static CHANGED: Condvar = Condvar::new();
static NEXT: AtomicU64 = AtomicU64::new(1);

fn calls() -> MutexGuard<'static, Calls> {
    CALLS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Of one object. What is called of it goes through here.
pub(crate) struct Gate(u64);

/// While it lives, something of the object is being called.
pub(crate) struct Entered(u64);

impl Gate {
    pub(crate) fn new() -> Self {
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }

    /// None: the object was deleted.
    pub(crate) fn enter(&self) -> Option<Entered> {
        let mut calls = calls();
        if calls.closed.contains(&self.0) {
            return None;
        }
        calls.running.push((std::thread::current().id(), self.0));
        Some(Entered(self.0))
    }

    /// Nothing enters any more. Returns when nothing of it runs, but for the callbacks that this very
    /// call came from, and for those of threads that wait in here themselves: two that delete what
    /// the other runs would wait forever.
    pub(crate) fn close(&self) {
        let own = std::thread::current().id();
        let mut calls = calls();
        if !calls.closed.contains(&self.0) {
            calls.closed.push(self.0);
        }
        calls.waiting.push(own);
        CHANGED.notify_all();
        while calls.running.iter().any(|(thread, gate)| {
            *gate == self.0 && *thread != own && !calls.waiting.contains(thread)
        }) {
            calls = CHANGED.wait(calls).unwrap_or_else(PoisonError::into_inner);
        }
        if let Some(at) = calls.waiting.iter().position(|thread| *thread == own) {
            calls.waiting.swap_remove(at);
        }
    }
}

impl Drop for Gate {
    /// Nobody has it any more, so nobody can enter.
    fn drop(&mut self) {
        calls().closed.retain(|closed| *closed != self.0);
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let own = (std::thread::current().id(), self.0);
        let mut calls = calls();
        if let Some(at) = calls.running.iter().rposition(|call| *call == own) {
            calls.running.remove(at);
        }
        CHANGED.notify_all();
    }
}

/// Whether this thread is inside of a callback.
pub(crate) fn is_calling() -> bool {
    let own = std::thread::current().id();
    calls().running.iter().any(|(thread, _)| *thread == own)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc;

    use super::{Gate, is_calling};

    #[test]
    fn closing_waits_for_what_runs_elsewhere_and_not_for_itself() {
        let gate = Arc::new(Gate::new());
        let own = gate.enter();
        assert!(own.is_some() && is_calling());
        let (inside, entered) = mpsc::channel();
        let (leave, left) = mpsc::channel::<()>();
        let is_over = Arc::new(AtomicBool::new(false));
        let (other, told) = (Arc::clone(&gate), Arc::clone(&is_over));
        let thread = std::thread::spawn(move || {
            let _entered = other.enter();
            inside.send(()).unwrap();
            left.recv().unwrap();
            told.store(true, Ordering::Release);
        });
        entered.recv().unwrap();
        let timer = std::thread::spawn(move || leave.send(()));
        gate.close();
        assert!(is_over.load(Ordering::Acquire));
        assert!(gate.enter().is_none());
        thread.join().unwrap();
        timer.join().unwrap().unwrap();
        drop(own);
        assert!(!is_calling());
    }

    #[test]
    fn two_that_close_what_the_other_runs_do_not_wait_forever() {
        let gates = [Arc::new(Gate::new()), Arc::new(Gate::new())];
        let barrier = Arc::new(std::sync::Barrier::new(2));
        let threads = [0, 1].map(|at| {
            let (own, other) = (Arc::clone(&gates[at]), Arc::clone(&gates[1 - at]));
            let barrier = Arc::clone(&barrier);
            std::thread::spawn(move || {
                let _entered = own.enter();
                barrier.wait();
                other.close();
            })
        });
        for thread in threads {
            thread.join().unwrap();
        }
    }
}
