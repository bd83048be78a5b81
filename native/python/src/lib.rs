//! The media core as the Python extension `sfu._native`.

mod srtp_session;
mod tap_reader;
mod worker;

use pyo3::prelude::*;

/// The compiled media core.
#[pymodule]
#[pyo3(name = "_native")]
fn native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<worker::Worker>()?;
    module.add_class::<srtp_session::SrtpSession>()?;
    module.add_class::<tap_reader::TapReader>()?;
    // The stub lists the names; `add_class` creates this one.
    module.as_any().delattr("__all__")
}
