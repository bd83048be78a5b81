//! The audio device.

use std::ffi::c_int;

use crate::border::{self, NOT_THERE, structure};
use crate::callbacks::DeviceCallbacks;
use crate::device;

/// More at once is no device's: ten seconds of two channels.
const MAX_SAMPLES: usize = 960_000;

/// See the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn otc_set_audio_device(callbacks: *const DeviceCallbacks) -> c_int {
    border::status(std::ptr::null_mut(), || {
        // SAFETY: the program's structure.
        device::set(unsafe { structure(callbacks) }.ok());
        Ok(())
    })
}

/// See the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn otc_audio_device_write_capture_data(
    samples: *const i16,
    number_of_samples: usize,
) -> c_int {
    border::status(std::ptr::null_mut(), || {
        if samples.is_null() || number_of_samples > MAX_SAMPLES {
            return Err(NOT_THERE);
        }
        let count = number_of_samples * device::capture_channels();
        // SAFETY: so many of each channel, as the program says.
        device::write(unsafe { std::slice::from_raw_parts(samples, count) });
        Ok(())
    })
}

/// See the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn otc_audio_device_read_render_data(
    samples: *mut i16,
    number_of_samples: usize,
) -> usize {
    border::value(std::ptr::null_mut(), 0, || {
        if samples.is_null() || number_of_samples > MAX_SAMPLES {
            return None;
        }
        let count = number_of_samples * device::render_channels();
        // SAFETY: room for so many of each channel, as the program says.
        device::read(unsafe { std::slice::from_raw_parts_mut(samples, count) });
        Some(number_of_samples)
    })
}
