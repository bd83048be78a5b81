//! What a program gives to be called: the structures of the header, member by member.
#![allow(unsafe_code)]

use std::ffi::{c_char, c_float, c_int, c_void};

use crate::handles::Handle;
use crate::stream::c_text;

macro_rules! callbacks {
    ($name:ident { $($member:ident ( $($argument:ident : $type:ty),* ) => $out:ty;)* }) => {
        #[repr(C)]
        #[derive(Clone, Copy)]
        pub(crate) struct $name {
            $($member: Option<unsafe extern "C" fn(Handle, *mut c_void $(, $type)*) -> $out>,)*
            pub(crate) user_data: *mut c_void,
            reserved: *mut c_void,
        }

        // SAFETY: the header says from which threads these are called; `user_data` is handed on, and
        // never followed.
        unsafe impl Send for $name {}
        // SAFETY: as above; nothing in here changes.
        unsafe impl Sync for $name {}

        impl $name {
            $(
                /// None if the program does not want to be called.
                #[allow(dead_code)]
                pub(crate) fn $member(&self, own: Handle $(, $argument: $type)*) -> Option<$out> {
                    // SAFETY: a function of this type, as the program promised by the header.
                    self.$member.map(|call| unsafe { call(own, self.user_data $(, $argument)*) })
                }
            )*
        }
    };
}

callbacks! { SessionCallbacks {
    on_connected() => ();
    on_disconnected() => ();
    on_connection_created(connection: Handle) => ();
    on_connection_dropped(connection: Handle) => ();
    on_stream_received(stream: Handle) => ();
    on_stream_dropped(stream: Handle) => ();
    on_stream_has_audio_changed(stream: Handle, has_audio: c_int) => ();
    on_stream_has_video_changed(stream: Handle, has_video: c_int) => ();
    on_stream_video_dimensions_changed(stream: Handle, width: c_int, height: c_int) => ();
    on_stream_video_type_changed(stream: Handle, video_type: c_int) => ();
    on_reconnection_started() => ();
    on_reconnected() => ();
    on_archive_started(archive_id: *const c_char, name: *const c_char) => ();
    on_archive_stopped(archive_id: *const c_char) => ();
    on_signal_received(kind: *const c_char, data: *const c_char, connection: Handle) => ();
    on_error(text: *const c_char, number: c_int) => ();
} }

callbacks! { PublisherCallbacks {
    on_stream_created(stream: Handle) => ();
    on_stream_destroyed(stream: Handle) => ();
    on_render_frame(frame: Handle) => ();
    on_audio_level_updated(level: c_float) => ();
    on_error(text: *const c_char, number: c_int) => ();
} }

callbacks! { SubscriberCallbacks {
    on_connected(stream: Handle) => ();
    on_disconnected() => ();
    on_reconnected() => ();
    on_render_frame(frame: Handle) => ();
    on_video_disabled(reason: c_int) => ();
    on_video_enabled(reason: c_int) => ();
    on_error(text: *const c_char, number: c_int) => ();
} }

callbacks! { EncryptionCallbacks {
    on_encryption_secret_match() => ();
} }

/// What a capturer says of its images.
#[repr(C)]
#[derive(Default)]
pub(crate) struct CapturerSettings {
    format: c_int,
    pub(crate) width: c_int,
    pub(crate) height: c_int,
    fps: c_int,
    expected_delay: c_int,
    mirror_on_local_render: c_int,
}

callbacks! { CapturerCallbacks {
    init() => c_int;
    destroy() => c_int;
    start() => c_int;
    stop() => c_int;
    get_capture_settings(settings: *mut CapturerSettings) => c_int;
} }

/// What a audio device says of its samples.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct DeviceSettings {
    pub(crate) rate: c_int,
    pub(crate) channels: c_int,
}

callbacks! { DeviceCallbacks {
    init() => c_int;
    destroy() => c_int;
    init_capturer() => c_int;
    destroy_capturer() => c_int;
    start_capturer() => c_int;
    stop_capturer() => c_int;
    is_capturer_initialized() => c_int;
    is_capturer_started() => c_int;
    get_estimated_capture_delay() => c_int;
    init_renderer() => c_int;
    destroy_renderer() => c_int;
    start_renderer() => c_int;
    stop_renderer() => c_int;
    is_renderer_initialized() => c_int;
    is_renderer_started() => c_int;
    get_estimated_render_delay() => c_int;
    get_capture_settings(settings: *mut DeviceSettings) => c_int;
    get_render_settings(settings: *mut DeviceSettings) => c_int;
} }

/// Of log lines.
#[derive(Clone, Copy)]
pub(crate) struct Logger(pub(crate) unsafe extern "C" fn(*const c_char));

impl Logger {
    pub(crate) fn call(self, text: &str) {
        let text = c_text(text);
        // SAFETY: a function of this type, as the program promised; the text lives until it returns.
        unsafe { (self.0)(text.as_ptr()) }
    }
}
