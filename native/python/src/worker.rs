//! The worker's Python face. Calls that may wait let go of the interpreter; the thread never has it.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::RawFd;
use std::time::Duration;

use pyo3::exceptions::{PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use sealroute_forward::ForwardSettings;
use sealroute_worker::{Ended, RouterHandle, WorkerSettings};

use crate::command_fields::{self as fields, CommandFields};
use crate::event_tuples::tuple_of;
use crate::extraction::{read, require};

/// One thread, one port (UDP and TCP), all packet state of the sessions pinned to it.
///
/// Methods named after a command queue it and return at once; the thread applies them in
/// order. `ValueError`: the command is malformed. `RuntimeError`: the worker has ended.
#[pyclass(frozen, module = "sfu._native")]
pub(crate) struct Worker(sealroute_worker::Worker);

fn ended(error: Ended) -> PyErr {
    PyRuntimeError::new_err(error.to_string())
}

impl Worker {
    fn submit<'a, 'py, F>(&self, command: &'a Bound<'py, PyAny>) -> PyResult<()>
    where
        F: CommandFields + FromPyObject<'a, 'py>,
    {
        let fields: F = read(command)?;
        self.0.submit(fields.into_command()?).map_err(ended)
    }
}

#[pymethods]
impl Worker {
    #[new]
    #[pyo3(signature = (
        host,
        port,
        *,
        tcp = true,
        consent_timeout_ms = 30_000,
        event_ring_size = 4_096,
        receive_buffer_bytes = 4_194_304,
        key_frame_interval_ms = 500,
        loudest_voices = 0,
        voices_of_large_session = 0,
        start_downlink_kbps = 800,
        max_downlink_kbps = 100_000,
    ))]
    #[expect(clippy::too_many_arguments, reason = "Python names each of them")]
    fn new(
        py: Python<'_>,
        host: &str,
        port: u16,
        tcp: bool,
        consent_timeout_ms: u64,
        event_ring_size: usize,
        receive_buffer_bytes: usize,
        key_frame_interval_ms: u64,
        loudest_voices: usize,
        voices_of_large_session: usize,
        start_downlink_kbps: u32,
        max_downlink_kbps: u32,
    ) -> PyResult<Self> {
        let ip: IpAddr = host
            .parse()
            .map_err(|_| PyValueError::new_err("host is not an IP address"))?;
        require(consent_timeout_ms > 0, "consent timeout is out of range")?;
        require(
            (2..=1 << 20).contains(&event_ring_size),
            "event ring size is out of range",
        )?;
        let forward = ForwardSettings {
            key_frame_interval: Duration::from_millis(key_frame_interval_ms),
            loudest_voices,
            voices_of_large_session,
            start_downlink_bps: f64::from(start_downlink_kbps) * 1_000.0,
            max_downlink_bps: f64::from(max_downlink_kbps) * 1_000.0,
        };
        let settings = WorkerSettings {
            address: SocketAddr::new(ip, port),
            tcp,
            consent_timeout: Duration::from_millis(consent_timeout_ms),
            event_ring_size,
            receive_buffer_bytes,
            forward,
        };
        let started = py.detach(|| sealroute_worker::Worker::start(settings));
        started
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

    /// Waiting events as (`snake_case` name, *fields in the order of `sfu.events`), and clears the eventfd.
    fn drain<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let events = self.0.drain().into_iter().map(|event| tuple_of(py, event));
        PyList::new(py, events.collect::<PyResult<Vec<_>>>()?)
    }

    fn open_router(&self, command: &Bound<'_, PyAny>) -> PyResult<()> {
        self.submit::<fields::OpenRouter>(command)
    }

    fn close_router(&self, command: &Bound<'_, PyAny>) -> PyResult<()> {
        self.submit::<fields::CloseRouter>(command)
    }

    fn open_transport(&self, command: &Bound<'_, PyAny>) -> PyResult<()> {
        self.submit::<fields::OpenTransport>(command)
    }

    fn restart_ice(&self, command: &Bound<'_, PyAny>) -> PyResult<()> {
        self.submit::<fields::RestartIce>(command)
    }

    fn set_peer_credentials(&self, command: &Bound<'_, PyAny>) -> PyResult<()> {
        self.submit::<fields::SetPeerCredentials>(command)
    }

    fn set_srtp_keys(&self, command: &Bound<'_, PyAny>) -> PyResult<()> {
        self.submit::<fields::SetSrtpKeys>(command)
    }

    fn send_dtls(&self, command: &Bound<'_, PyAny>) -> PyResult<()> {
        self.submit::<fields::SendDtls>(command)
    }

    fn close_transport(&self, command: &Bound<'_, PyAny>) -> PyResult<()> {
        self.submit::<fields::CloseTransport>(command)
    }

    fn publish(&self, command: &Bound<'_, PyAny>) -> PyResult<()> {
        self.submit::<fields::Publish>(command)
    }

    fn declare_kids(&self, command: &Bound<'_, PyAny>) -> PyResult<()> {
        self.submit::<fields::DeclareKids>(command)
    }

    fn set_source_forwarding(&self, command: &Bound<'_, PyAny>) -> PyResult<()> {
        self.submit::<fields::SetSourceForwarding>(command)
    }

    fn request_key_frame(&self, command: &Bound<'_, PyAny>) -> PyResult<()> {
        self.submit::<fields::RequestKeyFrame>(command)
    }

    fn unpublish(&self, command: &Bound<'_, PyAny>) -> PyResult<()> {
        self.submit::<fields::Unpublish>(command)
    }

    fn subscribe(&self, command: &Bound<'_, PyAny>) -> PyResult<()> {
        self.submit::<fields::Subscribe>(command)
    }

    fn set_sink_forwarding(&self, command: &Bound<'_, PyAny>) -> PyResult<()> {
        self.submit::<fields::SetSinkForwarding>(command)
    }

    fn set_layer_wish(&self, command: &Bound<'_, PyAny>) -> PyResult<()> {
        self.submit::<fields::SetLayerWish>(command)
    }

    fn unsubscribe(&self, command: &Bound<'_, PyAny>) -> PyResult<()> {
        self.submit::<fields::Unsubscribe>(command)
    }

    /// Totals since start, read without stopping the thread.
    fn counters<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let totals = PyDict::new(py);
        for (name, total) in self.0.counters() {
            totals.set_item(name, total)?;
        }
        Ok(totals)
    }

    /// Everything the thread knows of one session, JSON-able; None if there is no such
    /// router. Waits for the thread: call it from an executor.
    fn dump<'py>(&self, py: Python<'py>, router: u64) -> PyResult<Option<Bound<'py, PyAny>>> {
        let known = py
            .detach(|| self.0.dump(RouterHandle(router)))
            .map_err(ended)?;
        let loads = |value: serde_json::Value| {
            py.import("json")?
                .call_method1("loads", (value.to_string(),))
        };
        known.map(loads).transpose()
    }

    /// Ends the thread and closes the socket. Idempotent.
    fn close(&self, py: Python<'_>) {
        py.detach(|| self.0.close());
    }
}
