//! The library as a whole.

use std::ffi::{CString, c_char, c_int, c_void};

use crate::border;
use crate::callbacks::Logger;
use crate::handles;
use crate::log;
use crate::publisher::Publisher;
use crate::session::{self, Session};
use crate::subscriber::Subscriber;

const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "\0");
const HEX: &[u8; 16] = b"0123456789abcdef";

/// See the header.
#[unsafe(no_mangle)]
pub extern "C" fn otc_init(_parameters: *mut c_void) -> c_int {
    0
}

/// See the header.
#[unsafe(no_mangle)]
pub extern "C" fn otc_destroy() -> c_int {
    border::status(std::ptr::null_mut(), || {
        for handle in handles::all::<Session>() {
            super::delete::<Session>(handle, |session| session.end());
        }
        for handle in handles::all::<Publisher>() {
            super::delete::<Publisher>(handle, Publisher::end);
        }
        for handle in handles::all::<Subscriber>() {
            super::delete::<Subscriber>(handle, Subscriber::end);
        }
        crate::device::set(None);
        Ok(())
    })
}

/// See the header.
#[unsafe(no_mangle)]
pub extern "C" fn otc_version() -> *const c_char {
    VERSION.as_ptr().cast()
}

/// See the header.
#[unsafe(no_mangle)]
pub extern "C" fn otc_log_enable(level: c_int) {
    log::enable(level);
}

/// See the header.
#[unsafe(no_mangle)]
pub extern "C" fn otc_log_set_logger_callback(
    callback: Option<unsafe extern "C" fn(*const c_char)>,
) {
    log::set_logger(callback.map(Logger));
}

/// See the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn otc_set_server_url(url: *const c_char) -> c_int {
    border::status(std::ptr::null_mut(), || {
        // SAFETY: the program's text.
        session::set_server_url(unsafe { border::text(url) }?);
        Ok(())
    })
}

/// See the header.
#[unsafe(no_mangle)]
pub extern "C" fn otc_generate_encryption_secret() -> *mut c_char {
    border::value(std::ptr::null_mut(), std::ptr::null_mut(), || {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).ok()?;
        let digit = |half: u8| char::from(HEX[usize::from(half)]);
        let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        Some(super::given(&digits.map(digit).collect::<String>()))
    })
}

/// See the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn otc_free_string(text: *mut c_char) {
    if !text.is_null() {
        // SAFETY: text that one of this library's functions gave, as the header says.
        drop(unsafe { CString::from_raw(text) });
    }
}
