//! A thread that calls the program, one thing after the other.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, Sender};
use std::sync::{Mutex, PoisonError};

type Job = Box<dyn FnOnce() + Send>;

/// Ends with its owner, when what was asked for is done.
pub(crate) struct Dispatcher(Mutex<Option<Sender<Job>>>);

impl Dispatcher {
    /// The thread is made with the first job.
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(None))
    }

    pub(crate) fn ask(&self, job: impl FnOnce() + Send + 'static) {
        let mut sender = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let sender = match &*sender {
            Some(sender) => sender,
            None => sender.insert(begin()),
        };
        // Without a thread, the system has none left: nothing can be called then.
        let _ = sender.send(Box::new(job));
    }
}

fn begin() -> Sender<Job> {
    let (sender, jobs) = mpsc::channel::<Job>();
    let run = move || {
        while let Ok(job) = jobs.recv() {
            if catch_unwind(AssertUnwindSafe(job)).is_err() {
                crate::log::error("A fault while something was reported");
            }
        }
    };
    let named = std::thread::Builder::new().name("sealroute-calls".into());
    let _ = named.spawn(run);
    sender
}
