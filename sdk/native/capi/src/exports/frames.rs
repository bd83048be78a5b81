//! Images.

use std::ffi::c_int;
use std::sync::Arc;

use super::{delete, read};
use crate::border::{self, object};
use crate::convert::{Format, Plane};
use crate::frame::Frame;
use crate::handles::{self, Capturer, Handle};

fn size(width: c_int, height: c_int) -> Option<(u32, u32)> {
    Some((u32::try_from(width).ok()?, u32::try_from(height).ok()?))
}

fn made(frame: impl FnOnce() -> Option<Frame>) -> Handle {
    border::value(std::ptr::null_mut(), std::ptr::null_mut(), || {
        frame().map(|frame| handles::insert(Arc::new(frame)))
    })
}

/// See the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn otc_video_frame_new(
    format: c_int,
    width: c_int,
    height: c_int,
    buffer: *const u8,
) -> Handle {
    made(|| {
        let format = Format::of(format)?;
        let (width, height) = size(width, height)?;
        let length = format.bytes_of(width, height)?;
        if buffer.is_null() {
            return None;
        }
        // SAFETY: an image of that format and size, as the program says.
        let bytes = unsafe { std::slice::from_raw_parts(buffer, length) };
        Frame::new(format, width, height, bytes.to_vec())
    })
}

/// See the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn otc_video_frame_new_from_planes(
    format: c_int,
    width: c_int,
    height: c_int,
    planes: *const *const u8,
    strides: *const c_int,
) -> Handle {
    made(|| {
        let format = Format::of(format).filter(|format| *format == Format::Yuv420p)?;
        let (width, height) = size(width, height)?;
        format.bytes_of(width, height)?;
        if planes.is_null() || strides.is_null() {
            return None;
        }
        let mut bytes = Vec::new();
        for (number, plane) in format.planes(width, height).iter().enumerate() {
            // SAFETY: as many of each as the format has planes.
            let (from, stride) = unsafe { (*planes.add(number), *strides.add(number)) };
            let stride = usize::try_from(stride).ok()?;
            if from.is_null() || stride < plane.stride {
                return None;
            }
            for row in 0..plane.rows {
                // SAFETY: rows that are `stride` apart, as the program says.
                let row =
                    unsafe { std::slice::from_raw_parts(from.add(row * stride), plane.stride) };
                bytes.extend_from_slice(row);
            }
        }
        Frame::new(format, width, height, bytes)
    })
}

/// See the header.
#[unsafe(no_mangle)]
pub extern "C" fn otc_video_frame_copy(frame: Handle) -> Handle {
    made(|| {
        let frame = handles::get::<Frame>(frame)?;
        frame.converted(frame.format)
    })
}

/// See the header.
#[unsafe(no_mangle)]
pub extern "C" fn otc_video_frame_convert(format: c_int, frame: Handle) -> Handle {
    made(|| handles::get::<Frame>(frame)?.converted(Format::of(format)?))
}

/// See the header.
#[unsafe(no_mangle)]
pub extern "C" fn otc_video_frame_delete(frame: Handle) -> c_int {
    delete::<Frame>(frame, |_| ())
}

/// See the header.
#[unsafe(no_mangle)]
pub extern "C" fn otc_video_frame_get_format(frame: Handle) -> c_int {
    read(frame, 0, |frame: &Frame| frame.format as c_int)
}

/// See the header.
#[unsafe(no_mangle)]
pub extern "C" fn otc_video_frame_get_width(frame: Handle) -> c_int {
    read(frame, 0, |frame: &Frame| frame.width as c_int)
}

/// See the header.
#[unsafe(no_mangle)]
pub extern "C" fn otc_video_frame_get_height(frame: Handle) -> c_int {
    read(frame, 0, |frame: &Frame| frame.height as c_int)
}

/// See the header.
#[unsafe(no_mangle)]
pub extern "C" fn otc_video_frame_get_buffer_size(frame: Handle) -> usize {
    read(frame, 0, |frame: &Frame| frame.bytes.len())
}

/// See the header.
#[unsafe(no_mangle)]
pub extern "C" fn otc_video_frame_get_buffer(frame: Handle) -> *const u8 {
    read(frame, std::ptr::null(), |frame: &Frame| {
        frame.bytes.as_ptr()
    })
}

/// See the header.
#[unsafe(no_mangle)]
pub extern "C" fn otc_video_frame_get_number_of_planes(frame: Handle) -> c_int {
    read(frame, 0, |frame: &Frame| {
        frame.format.planes(frame.width, frame.height).len() as c_int
    })
}

fn plane<V>(
    frame: Handle,
    number: c_int,
    otherwise: V,
    member: impl FnOnce(&Frame, Plane) -> V,
) -> V {
    border::value(frame, otherwise, || {
        let frame = handles::get::<Frame>(frame)?;
        let plane = frame.plane(usize::try_from(number).ok()?)?;
        Some(member(&frame, plane))
    })
}

/// See the header.
#[unsafe(no_mangle)]
pub extern "C" fn otc_video_frame_get_plane_binary_data(frame: Handle, number: c_int) -> *const u8 {
    plane(frame, number, std::ptr::null(), |frame, plane| {
        let bytes = frame.bytes.get(plane.from..);
        bytes.map_or(std::ptr::null(), <[u8]>::as_ptr)
    })
}

/// See the header.
#[unsafe(no_mangle)]
pub extern "C" fn otc_video_frame_get_plane_size(frame: Handle, number: c_int) -> usize {
    plane(frame, number, 0, |_, plane| plane.stride * plane.rows)
}

/// See the header.
#[unsafe(no_mangle)]
pub extern "C" fn otc_video_frame_get_plane_stride(frame: Handle, number: c_int) -> c_int {
    plane(frame, number, 0, |_, plane| plane.stride as c_int)
}

/// See the header.
#[unsafe(no_mangle)]
pub extern "C" fn otc_video_frame_get_plane_width(frame: Handle, number: c_int) -> c_int {
    plane(frame, number, 0, |_, plane| plane.columns as c_int)
}

/// See the header.
#[unsafe(no_mangle)]
pub extern "C" fn otc_video_frame_get_plane_height(frame: Handle, number: c_int) -> c_int {
    plane(frame, number, 0, |_, plane| plane.rows as c_int)
}

/// See the header.
#[unsafe(no_mangle)]
pub extern "C" fn otc_video_frame_get_timestamp(frame: Handle) -> i64 {
    read(frame, 0, Frame::timestamp)
}

/// See the header.
#[unsafe(no_mangle)]
pub extern "C" fn otc_video_frame_set_timestamp(frame: Handle, timestamp: i64) -> c_int {
    border::status(frame, || {
        object::<Frame>(frame)?.set_timestamp(timestamp);
        Ok(())
    })
}

/// See the header.
#[unsafe(no_mangle)]
pub extern "C" fn otc_video_capturer_provide_frame(
    capturer: Handle,
    _rotation: c_int,
    frame: Handle,
) -> c_int {
    border::status(std::ptr::null_mut(), || {
        let publisher = object::<Capturer>(capturer)?.0.upgrade();
        let publisher = publisher.ok_or(border::NOT_THERE)?;
        publisher.provide(frame, &*object::<Frame>(frame)?)
    })
}
