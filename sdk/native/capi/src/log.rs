//! What a program may read of the library's work. Nothing of it is secret, or said by people.

use std::io::Write;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicI32, Ordering};

use crate::callbacks::Logger;

pub(crate) const ERROR: i32 = 30;
pub(crate) const WARN: i32 = 40;
pub(crate) const INFO: i32 = 50;

static LEVEL: AtomicI32 = AtomicI32::new(0);
static LOGGER: Mutex<Option<Logger>> = Mutex::new(None);

pub(crate) fn enable(level: i32) {
    LEVEL.store(level, Ordering::Relaxed);
}

pub(crate) fn set_logger(logger: Option<Logger>) {
    *LOGGER.lock().unwrap_or_else(PoisonError::into_inner) = logger;
}

pub(crate) fn error(text: &str) {
    log(ERROR, text);
}

pub(crate) fn log(level: i32, text: &str) {
    if level > LEVEL.load(Ordering::Relaxed) {
        return;
    }
    let logger = *LOGGER.lock().unwrap_or_else(PoisonError::into_inner);
    match logger {
        Some(logger) => logger.call(text),
        None => {
            let _ = writeln!(std::io::stderr().lock(), "sealroute: {text}");
        }
    }
}
