//! The reader of a tap as a Python class: the socket and the clock around `sealroute_frames::Tap`.

// Only `copied` has unsafe code: a descriptor comes from Python as a number.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyTuple};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use rustix::time::{ClockId, clock_gettime};
use sealroute_frames::{Item, Tap};
use sealroute_rtp::tap_record::MAX_RECORD_BYTES;

/// Then what became ready goes to Python; the rest waits in the socket.
const MAX_BATCH: usize = 256;
/// Longer than any repair is worth waiting for, and bounds what a track holds.
const MAX_HOLD_MS: u32 = 10_000;

struct Reader {
    socket: OwnedFd,
    tap: Tap,
    datagram: Vec<u8>,
    ended: bool,
}

/// The reading end of a tap: frames of a session's clear media, and what happened between them.
#[pyclass(frozen, module = "sfu._native")]
pub(crate) struct TapReader {
    fd: RawFd,
    reader: Mutex<Reader>,
}

fn failed(error: &io::Error) -> PyErr {
    PyOSError::new_err((error.raw_os_error(), error.to_string()))
}

fn now_us() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000 + now.tv_nsec as u64 / 1_000
}

/// A copy of a descriptor, so that the caller may close its own.
fn copied(fd: RawFd) -> io::Result<OwnedFd> {
    if fd < 0 {
        return Err(Errno::BADF.into());
    }
    // SAFETY: not -1; one that is not open is only an error of the copying.
    unsafe { BorrowedFd::borrow_raw(fd) }.try_clone_to_owned()
}

impl Reader {
    fn read(&mut self, timeout_ms: u32) -> io::Result<Vec<Item>> {
        let deadline_us = now_us() + u64::from(timeout_ms) * 1_000;
        loop {
            self.receive()?;
            let now = now_us();
            self.tap.handle_timeout(now);
            self.request_key_frames(now);
            let items: Vec<Item> = std::iter::from_fn(|| self.tap.poll()).collect();
            if !items.is_empty() || self.ended || now >= deadline_us || !self.wait(deadline_us)? {
                return Ok(items);
            }
        }
    }

    fn receive(&mut self) -> io::Result<()> {
        for _ in 0..MAX_BATCH {
            if self.ended {
                break;
            }
            match recv(&self.socket, &mut *self.datagram, RecvFlags::DONTWAIT) {
                // The other end is gone, in whatever way.
                Ok((0, _)) | Err(Errno::CONNRESET) => {
                    self.ended = true;
                    let now = now_us();
                    self.tap.handle_end(now, now);
                }
                Ok((length, _)) => {
                    self.tap.handle_record(now_us(), &self.datagram[..length]);
                }
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn request_key_frames(&mut self, now: u64) {
        while let Some(record) = self.tap.poll_transmit(now) {
            // A request that does not go out now is repeated a second later.
            let _ = send(
                &self.socket,
                &record,
                SendFlags::DONTWAIT | SendFlags::NOSIGNAL,
            );
        }
    }

    /// Until something arrives or is due. `false`: a signal came, which Python has to handle.
    fn wait(&self, deadline_us: u64) -> io::Result<bool> {
        let until = self.tap.poll_timeout().unwrap_or(u64::MAX).min(deadline_us);
        let left_us = until.saturating_sub(now_us());
        let timeout = Timespec {
            tv_sec: (left_us / 1_000_000) as i64,
            tv_nsec: (left_us % 1_000_000 * 1_000) as _,
        };
        let mut waiting = [PollFd::from_borrowed_fd(self.socket.as_fd(), PollFlags::IN)];
        match poll(&mut waiting, Some(&timeout)) {
            Ok(_) => Ok(true),
            Err(Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

fn tuple(py: Python<'_>, item: Item) -> PyResult<Bound<'_, PyTuple>> {
    match item {
        Item::Json { arrival_us, body } => {
            ("json", arrival_us, PyBytes::new(py, &body)).into_pyobject(py)
        }
        Item::Frame {
            ssrc,
            codec,
            pts_us,
            duration_us,
            frame,
        } => (
            "frame",
            ssrc,
            codec.kind().name(),
            codec.name(),
            frame.key,
            pts_us,
            duration_us,
            PyBytes::new(py, &frame.data),
            frame.lost_before,
            frame.size.0,
            frame.size.1,
            frame.orientation,
        )
            .into_pyobject(py),
        Item::Lost {
            ssrc,
            packets,
            from_us,
            to_us,
        } => ("lost", ssrc, packets, from_us, to_us).into_pyobject(py),
        Item::End { arrival_us } => ("end", arrival_us).into_pyobject(py),
    }
}

impl TapReader {
    fn reader(&self) -> MutexGuard<'_, Reader> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl TapReader {
    #[new]
    fn new(fd: RawFd, hold_ms: u32) -> PyResult<Self> {
        if hold_ms > MAX_HOLD_MS {
            return Err(PyValueError::new_err("hold_ms is more than ten seconds"));
        }
        let socket = copied(fd).map_err(|error| failed(&error))?;
        Ok(Self {
            fd: socket.as_raw_fd(),
            reader: Mutex::new(Reader {
                socket,
                tap: Tap::new(u64::from(hold_ms) * 1_000),
                datagram: vec![0; MAX_RECORD_BYTES],
                ended: false,
            }),
        })
    }

    fn fileno(&self) -> RawFd {
        self.fd
    }

    /// Waits until something is ready, at most so long, and returns it in order.
    fn read<'py>(&self, py: Python<'py>, timeout_ms: u32) -> PyResult<Vec<Bound<'py, PyTuple>>> {
        let items = py
            .detach(|| self.reader().read(timeout_ms))
            .map_err(|error| failed(&error))?;
        items.into_iter().map(|item| tuple(py, item)).collect()
    }

    /// Learns the tracks of a stream whose record went to an earlier reader.
    fn handle_json(&self, py: Python<'_>, body: &[u8]) {
        py.detach(|| self.reader().tap.learn(body));
    }

    /// What is held, without waiting for repairs.
    fn finish<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyTuple>>> {
        let items = py.detach(|| {
            let mut reader = self.reader();
            reader.tap.finish(now_us());
            std::iter::from_fn(|| reader.tap.poll()).collect::<Vec<_>>()
        });
        items.into_iter().map(|item| tuple(py, item)).collect()
    }

    /// What was ignored so far, and why.
    fn counters<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let totals = PyDict::new(py);
        let counters = py.detach(|| self.reader().tap.counters());
        for (name, total) in counters.entries() {
            totals.set_item(name, total)?;
        }
        Ok(totals)
    }
}
