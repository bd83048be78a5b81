//! Sessions.

use std::ffi::{c_char, c_int, c_void};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use sealroute_client::SessionError;

use super::{delete, given, read, text_of};
use crate::border::{self, object, structure, text};
use crate::callbacks::SessionCallbacks;
use crate::handles::{self, Handle, Lent};
use crate::publisher::Publisher;
use crate::session::Session;
use crate::settings::SessionSettings;
use crate::stream::Connection;
use crate::subscriber::Subscriber;

type Settings = Mutex<SessionSettings>;

/// See the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn otc_session_new(
    api_key: *const c_char,
    session_id: *const c_char,
    callbacks: *const SessionCallbacks,
) -> Handle {
    // SAFETY: the program's.
    unsafe { make(api_key, session_id, callbacks, SessionSettings::default) }
}

/// See the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn otc_session_new_with_settings(
    api_key: *const c_char,
    session_id: *const c_char,
    callbacks: *const SessionCallbacks,
    settings: Handle,
) -> Handle {
    let Some(settings) = handles::get::<Settings>(settings) else {
        return std::ptr::null_mut();
    };
    let copied = || {
        let settings = settings.lock().unwrap_or_else(PoisonError::into_inner);
        settings.clone()
    };
    // SAFETY: the program's.
    unsafe { make(api_key, session_id, callbacks, copied) }
}

/// # Safety
///
/// Texts and a structure of the program.
unsafe fn make(
    api_key: *const c_char,
    session_id: *const c_char,
    callbacks: *const SessionCallbacks,
    settings: impl FnOnce() -> SessionSettings,
) -> Handle {
    border::value(std::ptr::null_mut(), std::ptr::null_mut(), || {
        // SAFETY: the caller's.
        let (api_key, session_id, callbacks) = unsafe {
            (
                text(api_key).ok()?,
                text(session_id).ok()?,
                structure(callbacks).ok()?,
            )
        };
        Some(Session::begin(api_key, session_id, callbacks, settings()))
    })
}

/// See the header.
#[unsafe(no_mangle)]
pub extern "C" fn otc_session_delete(session: Handle) -> c_int {
    delete::<Session>(session, |session| session.end())
}

fn with(session: Handle, work: impl FnOnce(&Arc<Session>) -> Result<(), SessionError>) -> c_int {
    border::status(session, || work(&object::<Session>(session)?))
}

/// See the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn otc_session_connect(session: Handle, token: *const c_char) -> c_int {
    // SAFETY: the program's text.
    with(session, |session| session.connect(unsafe { text(token) }?))
}

/// See the header.
#[unsafe(no_mangle)]
pub extern "C" fn otc_session_disconnect(session: Handle) -> c_int {
    with(session, |session| session.disconnect())
}

/// See the header.
#[unsafe(no_mangle)]
pub extern "C" fn otc_session_publish(session: Handle, publisher: Handle) -> c_int {
    with(session, |session| {
        session.publish(&object::<Publisher>(publisher)?)
    })
}

/// See the header.
#[unsafe(no_mangle)]
pub extern "C" fn otc_session_unpublish(session: Handle, publisher: Handle) -> c_int {
    with(session, |session| {
        session.unpublish(&object::<Publisher>(publisher)?)
    })
}

/// See the header.
#[unsafe(no_mangle)]
pub extern "C" fn otc_session_subscribe(session: Handle, subscriber: Handle) -> c_int {
    with(session, |session| {
        session.subscribe(&object::<Subscriber>(subscriber)?)
    })
}

/// See the header.
#[unsafe(no_mangle)]
pub extern "C" fn otc_session_unsubscribe(session: Handle, subscriber: Handle) -> c_int {
    with(session, |session| {
        session.unsubscribe(&object::<Subscriber>(subscriber)?)
    })
}

/// # Safety
///
/// Text of the program.
unsafe fn set_secret(session: Handle, secret: *const c_char, immediate: bool) -> c_int {
    with(session, |session| {
        if secret.is_null() {
            return Err(border::NOT_THERE);
        }
        // SAFETY: the program's text. What is not Unicode is no secret.
        let secret = unsafe { text(secret) }.map_err(|_| SessionError::InvalidSecret)?;
        session.set_secret(secret, immediate)
    })
}

/// See the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn otc_session_set_encryption_secret(
    session: Handle,
    secret: *const c_char,
) -> c_int {
    // SAFETY: the program's text.
    unsafe { set_secret(session, secret, false) }
}

/// See the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn otc_session_replace_encryption_secret(
    session: Handle,
    secret: *const c_char,
) -> c_int {
    // SAFETY: the program's text.
    unsafe { set_secret(session, secret, true) }
}

/// See the header.
#[unsafe(no_mangle)]
pub extern "C" fn otc_session_get_verification_code(session: Handle) -> *mut c_char {
    border::value(session, std::ptr::null_mut(), || {
        let client = handles::get::<Session>(session)?.client().ok()?;
        Some(given(&client.verification_code().ok()?))
    })
}

/// See the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn otc_session_send_signal(
    session: Handle,
    kind: *const c_char,
    signal: *const c_char,
) -> c_int {
    with(session, |session| {
        // SAFETY: the program's texts.
        let (kind, signal) = unsafe { (text(kind)?, text(signal)?) };
        session.client()?.signal(None, kind, signal)
    })
}

/// See the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn otc_session_send_signal_to_connection(
    session: Handle,
    kind: *const c_char,
    signal: *const c_char,
    connection: Handle,
) -> c_int {
    with(session, |session| {
        // SAFETY: the program's texts.
        let (kind, signal) = unsafe { (text(kind)?, text(signal)?) };
        let connection = object::<Connection>(connection)?;
        session
            .client()?
            .signal(Some(&connection.key), kind, signal)
    })
}

/// See the header.
#[unsafe(no_mangle)]
pub extern "C" fn otc_session_get_id(session: Handle) -> *const c_char {
    text_of::<Session>(session, |session| &session.id)
}

/// See the header.
#[unsafe(no_mangle)]
pub extern "C" fn otc_session_get_connection(session: Handle) -> Handle {
    read(session, std::ptr::null_mut(), |session: &Session| {
        let state = session.lock();
        let own = state.own.as_ref();
        own.map_or(std::ptr::null_mut(), |(_, lent): &(_, Lent)| lent.handle())
    })
}

/// As the header has it.
#[repr(C)]
#[derive(Default)]
pub struct SessionCapabilities {
    connect: c_int,
    publish: c_int,
    subscribe: c_int,
    signal: c_int,
    force_unpublish: c_int,
    force_disconnect: c_int,
    force_mute: c_int,
}

/// See the header.
#[unsafe(no_mangle)]
pub extern "C" fn otc_session_get_capabilities(session: Handle) -> SessionCapabilities {
    read(
        session,
        SessionCapabilities::default(),
        |session: &Session| {
            let state = session.lock();
            let known = state.capabilities.as_ref().filter(|_| state.is_connected);
            known.map_or_else(SessionCapabilities::default, |known| SessionCapabilities {
                connect: 1,
                publish: (known.publish > 0).into(),
                subscribe: (known.subscribe > 0).into(),
                signal: (known.signal > 0).into(),
                force_unpublish: (known.force_unpublish > 0).into(),
                force_disconnect: (known.force_disconnect > 0).into(),
                force_mute: (known.force_mute > 0).into(),
            })
        },
    )
}

/// See the header.
#[unsafe(no_mangle)]
pub extern "C" fn otc_session_get_user_data(session: Handle) -> *mut c_void {
    read(session, std::ptr::null_mut(), |session: &Session| {
        session.callbacks.user_data
    })
}

/// See the header.
#[unsafe(no_mangle)]
pub extern "C" fn otc_session_settings_new() -> Handle {
    border::value(std::ptr::null_mut(), std::ptr::null_mut(), || {
        Some(handles::insert(Arc::new(Settings::default())))
    })
}

/// See the header.
#[unsafe(no_mangle)]
pub extern "C" fn otc_session_settings_delete(settings: Handle) -> c_int {
    delete::<Settings>(settings, |_| ())
}

fn change(
    settings: Handle,
    change: impl FnOnce(&mut SessionSettings) -> Result<(), SessionError>,
) -> c_int {
    border::status(settings, || {
        let settings = object::<Settings>(settings)?;
        change(&mut settings.lock().unwrap_or_else(PoisonError::into_inner))
    })
}

/// See the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn otc_session_settings_set_proxy_url(
    settings: Handle,
    url: *const c_char,
) -> c_int {
    change(settings, |settings| {
        // SAFETY: the program's text.
        settings.url = Some(unsafe { text(url) }?.to_owned());
        Ok(())
    })
}

/// See the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn otc_session_settings_set_ca_file(
    settings: Handle,
    path: *const c_char,
) -> c_int {
    change(settings, |settings| {
        // SAFETY: the program's text.
        settings.ca_file = Some(PathBuf::from(unsafe { text(path) }?));
        Ok(())
    })
}

/// See the header.
#[unsafe(no_mangle)]
pub extern "C" fn otc_session_settings_set_connection_events_suppressed(
    settings: Handle,
    suppressed: c_int,
) -> c_int {
    change(settings, |settings| {
        settings.is_quiet_of_connections = suppressed != 0;
        Ok(())
    })
}
