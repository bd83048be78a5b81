//! The media core as the Python extension `sfu._native`.

mod command_fields;
mod event_tuples;
mod extraction;
mod parameters;
mod srtp_session;
mod worker;

use pyo3::prelude::*;
use pyo3::types::PyTuple;

/// The compiled media core.
#[pymodule]
#[pyo3(name = "_native")]
fn native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<worker::Worker>()?;
    module.add_class::<srtp_session::SrtpSession>()?;
    let reasons = PyTuple::new(module.py(), sealroute_worker::drop_reasons())?;
    module.add("DROP_REASONS", reasons)?;
    // The stub lists the names; this one is made on the way.
    module.as_any().delattr("__all__")
}
