//! The worker's Python face. Calls that may wait let go of the interpreter; the thread never has it.
//!
//! Commands, events, snapshots and settings cross as `MessagePack`; `sealroute_worker::api` is the
//! one description of them.

use std::os::fd::RawFd;

use pyo3::exceptions::{PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use sealroute_worker::api::{Command, Malformed};
use sealroute_worker::{Ended, RouterHandle, WorkerSettings};
use serde::{Deserialize, Serialize};

/// One thread, one port (UDP and TCP), all packet state of the sessions pinned to it.
#[pyclass(frozen, module = "sfu._native")]
pub(crate) struct Worker(sealroute_worker::Worker);

fn ended(error: Ended) -> PyErr {
    PyRuntimeError::new_err(error.to_string())
}

fn malformed(error: Malformed) -> PyErr {
    PyValueError::new_err(error.to_string())
}

/// The text never repeats a value, as the decoder's own errors do: values may be secrets.
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
        // Nothing in settings is a secret: the decoder may say what it did not like.
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

    /// An eventfd that is readable while events wait.
    fn fileno(&self) -> RawFd {
        self.0.events_fd()
    }

    /// Queues an encoded command and returns at once; the thread applies commands in order.
    fn submit(&self, command: &[u8]) -> PyResult<()> {
        let command = decode(command)?;
        command.check().map_err(malformed)?;
        self.0.submit(command).map_err(ended)
    }

    /// The waiting events, an encoded list, and clears the eventfd.
    fn drain<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        encode(py, &self.0.drain())
    }

    /// Totals since start, read without stopping the thread.
    fn counters<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let totals = PyDict::new(py);
        for (name, total) in self.0.counters() {
            totals.set_item(name, total)?;
        }
        Ok(totals)
    }

    /// An encoded `Snapshot` of one session, or of nil. Waits for the thread: call it from an executor.
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
