//! Connections and streams.

use std::ffi::{c_char, c_int};

use super::{delete, read, text_of};
use crate::border;
use crate::handles::{self, Handle, Held, Lent};
use crate::stream::{Connection, Stream};

fn copy<T: Held>(handle: Handle) -> Handle {
    border::value(handle, std::ptr::null_mut(), || {
        handles::get::<T>(handle).map(handles::insert)
    })
}

/// See the header.
#[unsafe(no_mangle)]
pub extern "C" fn otc_connection_get_id(connection: Handle) -> *const c_char {
    text_of::<Connection>(connection, |connection| &connection.id)
}

/// See the header.
#[unsafe(no_mangle)]
pub extern "C" fn otc_connection_get_creation_time(connection: Handle) -> i64 {
    read(connection, 0, |connection: &Connection| {
        connection.created_ms
    })
}

/// See the header.
#[unsafe(no_mangle)]
pub extern "C" fn otc_connection_get_data(connection: Handle) -> *const c_char {
    text_of::<Connection>(connection, |connection| &connection.data)
}

/// See the header.
#[unsafe(no_mangle)]
pub extern "C" fn otc_connection_get_session_id(connection: Handle) -> *const c_char {
    text_of::<Connection>(connection, |connection| &connection.session_id)
}

/// See the header.
#[unsafe(no_mangle)]
pub extern "C" fn otc_connection_copy(connection: Handle) -> Handle {
    copy::<Connection>(connection)
}

/// See the header.
#[unsafe(no_mangle)]
pub extern "C" fn otc_connection_delete(connection: Handle) -> c_int {
    delete::<Connection>(connection, |_| ())
}

/// See the header.
#[unsafe(no_mangle)]
pub extern "C" fn otc_stream_get_id(stream: Handle) -> *const c_char {
    text_of::<Stream>(stream, |stream| &stream.id)
}

/// See the header.
#[unsafe(no_mangle)]
pub extern "C" fn otc_stream_get_name(stream: Handle) -> *const c_char {
    text_of::<Stream>(stream, |stream| &stream.name)
}

/// See the header.
#[unsafe(no_mangle)]
pub extern "C" fn otc_stream_get_creation_time(stream: Handle) -> i64 {
    read(stream, 0, |stream: &Stream| {
        i64::try_from(stream.info.creation_time).unwrap_or_default()
    })
}

/// See the header.
#[unsafe(no_mangle)]
pub extern "C" fn otc_stream_has_audio(stream: Handle) -> c_int {
    read(stream, 0, |stream: &Stream| stream.has_audio().into())
}

/// See the header.
#[unsafe(no_mangle)]
pub extern "C" fn otc_stream_has_video(stream: Handle) -> c_int {
    read(stream, 0, |stream: &Stream| stream.has_video().into())
}

/// See the header.
#[unsafe(no_mangle)]
pub extern "C" fn otc_stream_get_video_type(stream: Handle) -> c_int {
    read(stream, 0, Stream::video_type)
}

/// See the header.
#[unsafe(no_mangle)]
pub extern "C" fn otc_stream_get_video_width(stream: Handle) -> c_int {
    read(stream, 0, |stream: &Stream| stream.size().0)
}

/// See the header.
#[unsafe(no_mangle)]
pub extern "C" fn otc_stream_get_video_height(stream: Handle) -> c_int {
    read(stream, 0, |stream: &Stream| stream.size().1)
}

/// See the header.
#[unsafe(no_mangle)]
pub extern "C" fn otc_stream_get_connection(stream: Handle) -> Handle {
    read(stream, std::ptr::null_mut(), |stream: &Stream| {
        Lent::handle(&stream.lent_connection)
    })
}

/// See the header.
#[unsafe(no_mangle)]
pub extern "C" fn otc_stream_copy(stream: Handle) -> Handle {
    copy::<Stream>(stream)
}

/// See the header.
#[unsafe(no_mangle)]
pub extern "C" fn otc_stream_delete(stream: Handle) -> c_int {
    delete::<Stream>(stream, |_| ())
}
