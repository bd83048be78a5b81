//! SRTP for tests and load clients.

use std::sync::{Mutex, PoisonError};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use sealroute_transport::{
    MAX_OVERHEAD_BYTES, SrtpError, SrtpKeys, SrtpProfile, SrtpReceiver, SrtpSender,
    rtp_header_bytes,
};

struct Pair {
    sender: SrtpSender,
    receiver: SrtpReceiver,
}

/// SRTP and SRTCP with one key for both directions, for tests and load clients (never used by the
/// server).
#[pyclass(frozen, module = "sfu._native")]
pub(crate) struct SrtpSession(Mutex<Pair>);

fn refused(error: SrtpError) -> PyErr {
    PyValueError::new_err(error.name())
}

impl SrtpSession {
    fn with<R>(&self, act: impl FnOnce(&mut Pair) -> Result<R, SrtpError>) -> PyResult<R> {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner)).map_err(refused)
    }
}

#[pymethods]
impl SrtpSession {
    #[new]
    fn new(profile: &str, key: &[u8], salt: &[u8]) -> PyResult<Self> {
        let profile = SrtpProfile::from_name(profile)
            .ok_or_else(|| PyValueError::new_err("unknown SRTP profile"))?;
        let keys = SrtpKeys { key, salt };
        let sender = SrtpSender::new(profile, keys).map_err(refused)?;
        let receiver = SrtpReceiver::new(profile, keys).map_err(refused)?;
        Ok(Self(Mutex::new(Pair { sender, receiver })))
    }

    fn protect_rtp<'py>(&self, py: Python<'py>, packet: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        let mut slot = vec![0; packet.len() + MAX_OVERHEAD_BYTES];
        let length = self.with(|pair| {
            let (header, payload) = packet.split_at(rtp_header_bytes(packet)?);
            pair.sender.protect_rtp(header, payload, &mut slot)
        })?;
        Ok(PyBytes::new(py, &slot[..length]))
    }

    fn unprotect_rtp<'py>(&self, py: Python<'py>, packet: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        let mut bytes = packet.to_vec();
        let length = self.with(|pair| pair.receiver.unprotect_rtp(&mut bytes))?;
        Ok(PyBytes::new(py, &bytes[..length]))
    }

    fn protect_rtcp<'py>(&self, py: Python<'py>, packet: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        let mut slot = vec![0; packet.len() + MAX_OVERHEAD_BYTES];
        let length = self.with(|pair| pair.sender.protect_rtcp(packet, &mut slot))?;
        Ok(PyBytes::new(py, &slot[..length]))
    }

    fn unprotect_rtcp<'py>(&self, py: Python<'py>, packet: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        let mut bytes = packet.to_vec();
        let length = self.with(|pair| pair.receiver.unprotect_rtcp(&mut bytes))?;
        Ok(PyBytes::new(py, &bytes[..length]))
    }
}
