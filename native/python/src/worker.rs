//! The worker's Python class. Calls that may block release the GIL; the worker thread never takes
//! it.
//!
//! Commands, events, snapshots and settings are encoded as `MessagePack`; `sealroute_worker::api`
//! describes them.

use std::os::fd::RawFd;

use pyo3::exceptions::{PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use sealroute_worker::api::{Command, Malformed};
use sealroute_worker::{Ended, RouterHandle, WorkerSettings};
use serde::{Deserialize, Serialize};

/// One thread and one port (UDP and TCP) with all packet state of the sessions assigned to it.
#[pyclass(frozen, module = "sfu._native")]
pub(crate) struct Worker(sealroute_worker::Worker);

fn ended(error: Ended) -> PyErr {
    PyRuntimeError::new_err(error.to_string())
}

fn malformed(error: Malformed) -> PyErr {
    PyValueError::new_err(error.to_string())
}

/// The error text never contains a value, unlike the decoder's own errors: values may be secrets.
fn decode(encoded: &[u8]) -> PyResult<Command> {
    rmp_serde::from_slice(encoded)
        .map_err(|_| PyValueError::new_err("the command does not have the fields of sfu.core_api"))
}

fn encode<'py>(py: Python<'py>, value: &impl Serialize) -> PyResult<Bound<'py, PyBytes>> {
    let encoded = rmp_serde::to_vec_named(value)
        .map_err(|error| PyRuntimeError::new_err(error.to_string()))?;
    Ok(PyBytes::new(py, &encoded))
}

#[pymethods]
impl Worker {
    /// `settings`: an encoded `WorkerSettings`.
    #[new]
    fn new(py: Python<'_>, settings: &[u8]) -> PyResult<Self> {
        // Settings contain no secrets, so the decoder's own error is safe to show.
        let mut decoder = rmp_serde::Deserializer::from_read_ref(settings).with_human_readable();
        let settings = WorkerSettings::deserialize(&mut decoder)
            .map_err(|error| PyValueError::new_err(error.to_string()))?;
        settings.check().map_err(malformed)?;
        py.detach(|| sealroute_worker::Worker::start(settings))
            .map(Self)
            .map_err(|error| PyOSError::new_err((error.raw_os_error(), error.to_string())))
    }

    #[getter]
    fn local_port(&self) -> u16 {
        self.0.local_address().port()
    }

    /// Joins another worker, once: sessions can be forwarded by both. Each calls the other by the
    /// number given here.
    fn link(&self, own_number: u32, other: &Bound<'_, Self>, number: u32) -> PyResult<()> {
        { self.0.link(own_number, &other.get().0, number) }.map_err(ended)
    }

    /// An eventfd that is readable while events are waiting.
    fn fileno(&self) -> RawFd {
        self.0.events_fd()
    }

    /// Queues an encoded command and returns at once; the thread applies commands in order.
    fn submit(&self, command: &[u8]) -> PyResult<()> {
        let command = decode(command)?;
        command.check().map_err(malformed)?;
        self.0.submit(command).map_err(ended)
    }

    /// Queues an encoded command for the next `flush`, without waking the thread.
    fn queue(&self, command: &[u8]) -> PyResult<()> {
        let command = decode(command)?;
        command.check().map_err(malformed)?;
        self.0.queue(command).map_err(ended)
    }

    /// Wakes the thread if commands wait.
    fn flush(&self) {
        self.0.flush();
    }

    /// Takes the waiting events as an encoded list, and clears the eventfd.
    fn drain<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        encode(py, &self.0.drain())
    }

    /// Counters since start, read without blocking the thread.
    fn counters<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let totals = PyDict::new(py);
        for (name, total) in self.0.counters() {
            totals.set_item(name, total)?;
        }
        Ok(totals)
    }

    /// An encoded `Snapshot` of one session, or nil. Blocks until the thread replies: call it from
    /// an executor.
    fn snapshot<'py>(&self, py: Python<'py>, router: u64) -> PyResult<Bound<'py, PyBytes>> {
        let known = py
            .detach(|| self.0.snapshot(RouterHandle(router)))
            .map_err(ended)?;
        encode(py, &known)
    }

    /// Ends the thread and closes the socket. Idempotent.
    fn close(&self, py: Python<'_>) {
        py.detach(|| self.0.close());
    }
}
