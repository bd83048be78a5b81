//! Subscribers.

use std::ffi::c_int;
use std::sync::Arc;

use super::{delete, read};
use crate::border::{self, object, structure};
use crate::callbacks::{EncryptionCallbacks, SubscriberCallbacks};
use crate::handles::{self, Handle};
use crate::session::Session;
use crate::stream::Stream;
use crate::subscriber::Subscriber;

/// See the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn otc_subscriber_new(
    stream: Handle,
    callbacks: *const SubscriberCallbacks,
) -> Handle {
    border::value(std::ptr::null_mut(), std::ptr::null_mut(), || {
        // SAFETY: the program's structure.
        let callbacks = unsafe { structure(callbacks) }.ok()?;
        Some(Subscriber::begin(
            handles::get::<Stream>(stream)?,
            callbacks,
        ))
    })
}

/// See the header.
#[unsafe(no_mangle)]
pub extern "C" fn otc_subscriber_delete(subscriber: Handle) -> c_int {
    delete::<Subscriber>(subscriber, Subscriber::end)
}

/// See the header.
#[unsafe(no_mangle)]
pub extern "C" fn otc_subscriber_get_stream(subscriber: Handle) -> Handle {
    read(subscriber, std::ptr::null_mut(), Subscriber::stream_handle)
}

/// See the header.
#[unsafe(no_mangle)]
pub extern "C" fn otc_subscriber_get_session(subscriber: Handle) -> Handle {
    read(
        subscriber,
        std::ptr::null_mut(),
        |subscriber: &Subscriber| {
            let session = subscriber.session();
            session.map_or(std::ptr::null_mut(), |session: Arc<Session>| {
                session.handle()
            })
        },
    )
}

/// See the header.
#[unsafe(no_mangle)]
pub extern "C" fn otc_subscriber_set_subscribe_to_audio(subscriber: Handle, is_on: c_int) -> c_int {
    border::status(subscriber, || {
        object::<Subscriber>(subscriber)?.set_options(|options| options.audio = is_on != 0)
    })
}

/// See the header.
#[unsafe(no_mangle)]
pub extern "C" fn otc_subscriber_get_subscribe_to_audio(subscriber: Handle) -> c_int {
    read(subscriber, 0, |subscriber: &Subscriber| {
        subscriber.options().audio.into()
    })
}

/// See the header.
#[unsafe(no_mangle)]
pub extern "C" fn otc_subscriber_set_subscribe_to_video(subscriber: Handle, is_on: c_int) -> c_int {
    border::status(subscriber, || {
        object::<Subscriber>(subscriber)?.set_options(|options| options.video = is_on != 0)
    })
}

/// See the header.
#[unsafe(no_mangle)]
pub extern "C" fn otc_subscriber_get_subscribe_to_video(subscriber: Handle) -> c_int {
    read(subscriber, 0, |subscriber: &Subscriber| {
        subscriber.options().video.into()
    })
}

/// See the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn otc_subscriber_set_encryption_callbacks(
    subscriber: Handle,
    callbacks: *const EncryptionCallbacks,
) -> c_int {
    border::status(subscriber, || {
        // SAFETY: the program's structure.
        let callbacks = unsafe { structure(callbacks) }?;
        object::<Subscriber>(subscriber)?.set_encryption(callbacks);
        Ok(())
    })
}
