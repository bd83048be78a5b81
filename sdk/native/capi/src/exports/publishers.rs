//! Publishers.

use std::ffi::{c_char, c_int};
use std::sync::{Arc, Mutex, PoisonError};

use sealroute_client::{SessionError, Track};

use super::{delete, read};
use crate::border::{self, object, structure, text};
use crate::callbacks::{CapturerCallbacks, PublisherCallbacks};
use crate::handles::{self, Handle};
use crate::publisher::Publisher;
use crate::session::Session;
use crate::settings::PublisherSettings;

type Settings = Mutex<PublisherSettings>;

/// See the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn otc_publisher_new(
    name: *const c_char,
    capturer: *const CapturerCallbacks,
    callbacks: *const PublisherCallbacks,
) -> Handle {
    border::value(std::ptr::null_mut(), std::ptr::null_mut(), || {
        // SAFETY: the program's text and structures; no name and no capturer are fine.
        let (name, capturer, callbacks) = unsafe {
            let is_unnamed = name.is_null();
            let name = if is_unnamed { "" } else { text(name).ok()? };
            (name, structure(capturer).ok(), structure(callbacks).ok()?)
        };
        let settings = PublisherSettings {
            name: name.to_owned(),
            capturer,
            ..PublisherSettings::default()
        };
        Some(Publisher::begin(settings, callbacks))
    })
}

/// See the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn otc_publisher_new_with_settings(
    callbacks: *const PublisherCallbacks,
    settings: Handle,
) -> Handle {
    border::value(std::ptr::null_mut(), std::ptr::null_mut(), || {
        // SAFETY: the program's structure.
        let callbacks = unsafe { structure(callbacks) }.ok()?;
        let settings = handles::get::<Settings>(settings)?;
        let settings = settings
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        Some(Publisher::begin(settings, callbacks))
    })
}

/// See the header.
#[unsafe(no_mangle)]
pub extern "C" fn otc_publisher_delete(publisher: Handle) -> c_int {
    delete::<Publisher>(publisher, Publisher::end)
}

/// See the header.
#[unsafe(no_mangle)]
pub extern "C" fn otc_publisher_get_stream(publisher: Handle) -> Handle {
    read(publisher, std::ptr::null_mut(), Publisher::stream)
}

/// See the header.
#[unsafe(no_mangle)]
pub extern "C" fn otc_publisher_get_session(publisher: Handle) -> Handle {
    read(publisher, std::ptr::null_mut(), |publisher: &Publisher| {
        let session = publisher.session();
        session.map_or(std::ptr::null_mut(), |session: Arc<Session>| {
            session.handle()
        })
    })
}

fn set(publisher: Handle, track: Track, is_on: c_int) -> c_int {
    border::status(publisher, || {
        object::<Publisher>(publisher)?.set_sends(track, is_on != 0)
    })
}

fn get(publisher: Handle, track: Track) -> c_int {
    read(publisher, 0, |publisher: &Publisher| {
        publisher.sends(track).into()
    })
}

/// See the header.
#[unsafe(no_mangle)]
pub extern "C" fn otc_publisher_set_publish_audio(publisher: Handle, is_on: c_int) -> c_int {
    set(publisher, Track::Audio, is_on)
}

/// See the header.
#[unsafe(no_mangle)]
pub extern "C" fn otc_publisher_get_publish_audio(publisher: Handle) -> c_int {
    get(publisher, Track::Audio)
}

/// See the header.
#[unsafe(no_mangle)]
pub extern "C" fn otc_publisher_set_publish_video(publisher: Handle, is_on: c_int) -> c_int {
    set(publisher, Track::Video, is_on)
}

/// See the header.
#[unsafe(no_mangle)]
pub extern "C" fn otc_publisher_get_publish_video(publisher: Handle) -> c_int {
    get(publisher, Track::Video)
}

/// See the header.
#[unsafe(no_mangle)]
pub extern "C" fn otc_publisher_settings_new() -> Handle {
    border::value(std::ptr::null_mut(), std::ptr::null_mut(), || {
        Some(handles::insert(Arc::new(Settings::default())))
    })
}

/// See the header.
#[unsafe(no_mangle)]
pub extern "C" fn otc_publisher_settings_delete(settings: Handle) -> c_int {
    delete::<Settings>(settings, |_| ())
}

fn change(
    settings: Handle,
    change: impl FnOnce(&mut PublisherSettings) -> Result<(), SessionError>,
) -> c_int {
    border::status(settings, || {
        let settings = object::<Settings>(settings)?;
        change(&mut settings.lock().unwrap_or_else(PoisonError::into_inner))
    })
}

/// See the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn otc_publisher_settings_set_name(
    settings: Handle,
    name: *const c_char,
) -> c_int {
    change(settings, |settings| {
        // SAFETY: the program's text.
        unsafe { text(name) }?.clone_into(&mut settings.name);
        Ok(())
    })
}

/// See the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn otc_publisher_settings_set_video_capturer(
    settings: Handle,
    capturer: *const CapturerCallbacks,
) -> c_int {
    change(settings, |settings| {
        // SAFETY: the program's structure.
        settings.capturer = Some(unsafe { structure(capturer) }?);
        Ok(())
    })
}

/// See the header.
#[unsafe(no_mangle)]
pub extern "C" fn otc_publisher_settings_set_audio_track(settings: Handle, is_on: c_int) -> c_int {
    change(settings, |settings| {
        settings.has_audio = is_on != 0;
        Ok(())
    })
}

/// See the header.
#[unsafe(no_mangle)]
pub extern "C" fn otc_publisher_settings_set_video_track(settings: Handle, is_on: c_int) -> c_int {
    change(settings, |settings| {
        settings.has_video = is_on != 0;
        Ok(())
    })
}
