//! The functions of the header. Each takes what C gave apart, and calls what does it.
#![allow(unsafe_code, clippy::not_unsafe_ptr_arg_deref)]

mod audio;
mod frames;
mod library;
mod publishers;
mod sessions;
mod streams;
mod subscribers;

use std::ffi::{CString, c_char, c_int};

use crate::border;
use crate::handles::{self, Handle, Held};

/// Deletes an object: after what `end` does its handle is of no use.
fn delete<T: Held>(handle: Handle, end: impl FnOnce(&std::sync::Arc<T>)) -> c_int {
    border::status(handle, || {
        let object = handles::remove::<T>(handle).ok_or(border::NOT_THERE)?;
        end(&object);
        Ok(())
    })
}

/// One member of an object.
fn read<T: Held, V>(handle: Handle, otherwise: V, member: impl FnOnce(&T) -> V) -> V {
    border::value(handle, otherwise, || {
        handles::get::<T>(handle).map(|object| member(&object))
    })
}

/// Text of an object, which lives as long as it.
fn text_of<T: Held>(handle: Handle, member: impl FnOnce(&T) -> &CString) -> *const c_char {
    read(handle, std::ptr::null(), |object| member(object).as_ptr())
}

/// Text that the program frees.
fn given(text: &str) -> *mut c_char {
    crate::stream::c_text(text).into_raw()
}
