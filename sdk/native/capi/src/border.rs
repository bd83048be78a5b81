//! Between C and the rest: what C gives is checked, and a panic ends as an error.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_char, c_int};
use std::panic::{AssertUnwindSafe, catch_unwind};

use sealroute_client::SessionError;

use crate::handles::{self, Handle, Held};

/// A fault of this library.
const INTERNAL: c_int = 2000;

/// NULL, another kind, deleted.
pub(crate) const NOT_THERE: SessionError =
    SessionError::InvalidParameter("NULL, or an object that was deleted");

pub(crate) fn number(error: &SessionError) -> c_int {
    c_int::try_from(error.number()).unwrap_or(INTERNAL)
}

/// What a function of C returns. After a panic `handle` is of no use any more: no object is half alive.
pub(crate) fn status(handle: Handle, work: impl FnOnce() -> Result<(), SessionError>) -> c_int {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(())) => 0,
        Ok(Err(error)) => {
            crate::log::log(crate::log::WARN, &error.to_string());
            number(&error)
        }
        Err(_) => {
            fault(handle);
            INTERNAL
        }
    }
}

/// The same for a value.
pub(crate) fn value<T>(handle: Handle, otherwise: T, work: impl FnOnce() -> Option<T>) -> T {
    let Ok(found) = catch_unwind(AssertUnwindSafe(work)) else {
        fault(handle);
        return otherwise;
    };
    found.unwrap_or(otherwise)
}

fn fault(handle: Handle) {
    // What is dropped may be what failed.
    let closed = catch_unwind(|| handles::close(handle as usize));
    crate::log::error(if closed.is_ok() {
        "A fault inside; its object is closed"
    } else {
        "A fault inside"
    });
}

pub(crate) fn object<T: Held>(handle: Handle) -> Result<std::sync::Arc<T>, SessionError> {
    handles::get(handle).ok_or(NOT_THERE)
}

/// Text of the program. Errors: NULL, or not UTF-8.
///
/// # Safety
///
/// NULL, or text that ends with a NUL and lives as long as the result is used.
pub(crate) unsafe fn text<'a>(text: *const c_char) -> Result<&'a str, SessionError> {
    if text.is_null() {
        return Err(NOT_THERE);
    }
    // SAFETY: the caller's.
    let bytes = unsafe { CStr::from_ptr(text) };
    bytes
        .to_str()
        .map_err(|_| SessionError::InvalidParameter("Text is UTF-8"))
}

/// A structure of the program. Errors: NULL.
///
/// # Safety
///
/// NULL, or a whole structure of that type.
pub(crate) unsafe fn structure<T: Copy>(pointer: *const T) -> Result<T, SessionError> {
    // SAFETY: the caller's.
    unsafe { pointer.as_ref() }.copied().ok_or(NOT_THERE)
}

#[cfg(test)]
mod tests {
    use std::ffi::c_char;
    use std::sync::Arc;

    use sealroute_client::SessionError;

    use super::{status, text, value};
    use crate::handles;
    use crate::stream::Connection;

    #[test]
    fn a_panic_ends_as_an_error_and_closes_its_object() {
        let handle = handles::insert(Arc::new(Connection::named("a", "s")));
        assert_eq!(status(handle, || panic!("on purpose")), 2000);
        assert!(handles::get::<Connection>(handle).is_none());
        assert_eq!(value(handle, 7, || panic!("on purpose")), 7);
        assert_eq!(status(handle, || Err(SessionError::NotConnected)), 1010);
        assert_eq!(status(handle, || Ok(())), 0);
    }

    #[test]
    fn text_is_utf_8() {
        let read = |bytes: &'static [u8]| unsafe { text(bytes.as_ptr().cast::<c_char>()) };
        assert_eq!(read("🔑 ключ\0".as_bytes()), Ok("🔑 ключ"));
        assert!(read(b"\xff\xfe\0").is_err());
        // Half of a pair of UTF-16, as some write characters beyond the BMP.
        assert!(read(b"\xed\xa0\xbd\xed\xb4\x91\0").is_err());
        assert!(unsafe { text(std::ptr::null()) }.is_err());
    }
}
