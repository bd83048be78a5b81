//! From Python values to checked Rust values. Whatever is wrong is a `ValueError`.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::{Borrowed, FromPyObject};
use sealroute_forward::{Codec, Extension, Kid, MediaKind, PayloadAccess};
use sealroute_transport::SrtpProfile;
use sealroute_worker::Direction;

/// A name of `sfu.commands` that stands for `Self`.
pub(crate) trait Named: Sized {
    const WHAT: &'static str;
    fn from_name(name: &str) -> Option<Self>;
}

macro_rules! named {
    ($type:ident, $what:literal, $($name:literal => $value:ident,)*) => {
        impl Named for $type {
            const WHAT: &'static str = $what;

            fn from_name(name: &str) -> Option<Self> {
                match name {
                    $($name => Some($type::$value),)*
                    _ => None,
                }
            }
        }
    };
}

named!(PayloadAccess, "payload access", "clear" => Clear, "opaque" => Opaque,);
named!(Direction, "direction", "uplink" => Uplink, "downlink" => Downlink,);
named!(MediaKind, "media kind", "audio" => Audio, "video" => Video,);
named!(Codec, "codec", "opus" => Opus, "vp8" => Vp8, "vp9" => Vp9, "h264" => H264, "av1" => Av1,);
named!(Extension, "header extension",
    "mid" => Mid,
    "rid" => Rid,
    "repaired_rid" => RepairedRid,
    "audio_level" => AudioLevel,
    "abs_send_time" => AbsSendTime,
    "transport_cc" => TransportCc,
    "toffset" => TransmissionOffset,
    "video_orientation" => VideoOrientation,
    "playout_delay" => PlayoutDelay,
    "video_content_type" => VideoContentType,
    "video_timing" => VideoTiming,
    "color_space" => ColorSpace,
    "dependency_descriptor" => DependencyDescriptor,
    "video_layers_allocation" => VideoLayersAllocation,
    "abs_capture_time" => AbsCaptureTime,
);

impl Named for SrtpProfile {
    const WHAT: &'static str = "SRTP profile";

    fn from_name(name: &str) -> Option<Self> {
        Self::from_name(name)
    }
}

/// The value that a name stands for.
pub(crate) fn named<T: Named>(name: &str) -> PyResult<T> {
    T::from_name(name).ok_or_else(|| PyValueError::new_err(format!("unknown {}", T::WHAT)))
}

/// Reads a command's attributes. The text of the error names types, never values.
pub(crate) fn read<'a, 'py, T>(command: &'a Bound<'py, PyAny>) -> PyResult<T>
where
    T: FromPyObject<'a, 'py>,
{
    let object: Borrowed<'a, 'py, PyAny> = command.as_borrowed();
    T::extract(object).map_err(|error| {
        let error: PyErr = error.into();
        let malformed = PyValueError::new_err(format!(
            "the command is malformed: {}",
            error.value(command.py())
        ));
        malformed.set_cause(command.py(), Some(error));
        malformed
    })
}

/// `ValueError` with `message` unless `condition`.
pub(crate) fn require(condition: bool, message: &'static str) -> PyResult<()> {
    if condition {
        Ok(())
    } else {
        Err(PyValueError::new_err(message))
    }
}

/// Key ids of e2ee/2.
pub(crate) fn kids(values: Vec<Vec<u8>>) -> PyResult<Vec<Kid>> {
    let convert = |kid: Vec<u8>| {
        Kid::try_from(kid).map_err(|_| PyValueError::new_err("a key id has 8 bytes"))
    };
    values.into_iter().map(convert).collect()
}

/// An m-line's identification tag.
pub(crate) fn mid(value: String) -> PyResult<String> {
    let visible = value.bytes().all(|byte| byte.is_ascii_graphic());
    require(
        visible && (1..=16).contains(&value.len()),
        "mid is malformed",
    )?;
    Ok(value)
}

/// An RTP payload type.
pub(crate) fn payload_type(value: u8) -> PyResult<u8> {
    require(value < 128, "payload type is out of range")?;
    Ok(value)
}
