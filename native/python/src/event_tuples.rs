//! Events as tuples: the `snake_case` name, then the fields in the order of `sfu.events`.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};
use sealroute_worker::Event;

pub(crate) fn tuple_of(py: Python<'_>, event: Event) -> PyResult<Bound<'_, PyTuple>> {
    match event {
        Event::IceValidated { transport } => ("ice_validated", transport.0).into_pyobject(py),
        Event::DtlsDatagram {
            transport,
            datagram,
        } => ("dtls_datagram", transport.0, PyBytes::new(py, &datagram)).into_pyobject(py),
        Event::ConsentExpired { transport } => ("consent_expired", transport.0).into_pyobject(py),
        Event::SourceActive {
            publisher,
            mid,
            rid,
        } => ("source_active", publisher.0, mid, rid).into_pyobject(py),
        Event::DominantSpeaker { publisher } => ("dominant_speaker", publisher.0).into_pyobject(py),
        Event::VideoSupply { subscriber, supply } => {
            ("video_supply_changed", subscriber.0, supply.name()).into_pyobject(py)
        }
        Event::VideoDemand {
            publisher,
            mid,
            wanted,
        } => ("video_demand_changed", publisher.0, mid, wanted).into_pyobject(py),
        Event::NotEncrypted {
            publisher,
            mid,
            packets,
        } => ("not_encrypted", publisher.0, mid, packets).into_pyobject(py),
        Event::CommandFailed {
            command,
            handle,
            reason,
        } => ("command_failed", command, handle, reason).into_pyobject(py),
    }
}
