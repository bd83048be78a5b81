//! One publisher: what a program's capturer gives, on its way to a stream.

use std::ffi::c_int;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use sealroute_client::{FrameOutlet, PublicationId, SessionError, Track};

use crate::border::number;
use crate::callbacks::{CapturerSettings, PublisherCallbacks};
use crate::device;
use crate::encoding::Encoding;
use crate::frame::Frame;
use crate::gate::Gate;
use crate::handles::{self, Capturer, Handle, Lent};
use crate::session::Session;
use crate::settings::PublisherSettings;
use crate::stream::{Stream, c_text};

/// Of a capturer.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Idle,
    /// Its callbacks run.
    Starting,
    /// They run; the capturer stops after them.
    Stopping,
    Started,
}

struct State {
    session: Weak<Session>,
    publication: Option<PublicationId>,
    stream: Option<Lent>,
    sends_audio: bool,
    sends_video: bool,
    phase: Phase,
}

pub(crate) struct Publisher {
    pub(crate) settings: PublisherSettings,
    callbacks: PublisherCallbacks,
    gate: Gate,
    handle: OnceLock<usize>,
    capturer: OnceLock<Lent>,
    encoding: Encoding,
    state: Mutex<State>,
}

impl Publisher {
    pub(crate) fn begin(settings: PublisherSettings, callbacks: PublisherCallbacks) -> Handle {
        let publisher = Arc::new(Self {
            settings,
            callbacks,
            gate: Gate::new(),
            handle: OnceLock::new(),
            capturer: OnceLock::new(),
            encoding: Encoding::new(),
            state: Mutex::new(State {
                session: Weak::new(),
                publication: None,
                stream: None,
                sends_audio: true,
                sends_video: true,
                phase: Phase::Idle,
            }),
        });
        let capturer = Arc::new(Capturer(Arc::downgrade(&publisher)));
        let _ = publisher.capturer.set(Lent::new(capturer));
        let handle = handles::insert(Arc::clone(&publisher));
        let _ = publisher.handle.set(handle as usize);
        handle
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn handle(&self) -> Handle {
        self.handle
            .get()
            .map_or(std::ptr::null_mut(), |at| *at as Handle)
    }

    /// One for each object, for as long as the program runs.
    pub(crate) fn key(&self) -> usize {
        self.handle.get().copied().unwrap_or_default()
    }

    /// A deleted one may still be part of a session for a moment.
    pub(crate) fn is_deleted(&self) -> bool {
        handles::get::<Self>(self.handle()).is_none()
    }

    pub(crate) fn has_video(&self) -> bool {
        self.settings.has_video && self.settings.capturer.is_some()
    }

    pub(crate) fn has_audio(&self) -> bool {
        self.settings.has_audio && device::is_set()
    }

    // --- what the program asks for ---------------------------------------------------------------

    pub(crate) fn session(&self) -> Option<Arc<Session>> {
        self.lock().session.upgrade()
    }

    pub(crate) fn publication(&self) -> Option<PublicationId> {
        self.lock().publication
    }

    /// False: it is published already.
    pub(crate) fn join(&self, session: &Arc<Session>) -> bool {
        let mut state = self.lock();
        if state.session.strong_count() > 0 {
            return false;
        }
        state.session = Arc::downgrade(session);
        true
    }

    pub(crate) fn bind(&self, publication: PublicationId) {
        self.lock().publication = Some(publication);
    }

    pub(crate) fn sends(&self, track: Track) -> bool {
        let state = self.lock();
        match track {
            Track::Audio => state.sends_audio,
            Track::Video => state.sends_video,
        }
    }

    pub(crate) fn set_sends(&self, track: Track, is_on: bool) -> Result<(), SessionError> {
        let (session, publication) = {
            let mut state = self.lock();
            match track {
                Track::Audio => state.sends_audio = is_on,
                Track::Video => state.sends_video = is_on,
            }
            (state.session.upgrade(), state.publication)
        };
        match session.zip(publication) {
            Some((session, publication)) => {
                session.client()?.set_sending(publication, track, is_on)
            }
            None => Ok(()),
        }
    }

    pub(crate) fn stream(&self) -> Handle {
        let state = self.lock();
        state
            .stream
            .as_ref()
            .map_or(std::ptr::null_mut(), Lent::handle)
    }

    /// An image of the program's capturer, from the program's own thread.
    pub(crate) fn provide(&self, handle: Handle, frame: &Frame) -> Result<(), SessionError> {
        let no_image = SessionError::InvalidParameter("The frame is no image");
        let _entered = self.gate.enter().ok_or(SessionError::NotConnected)?;
        self.callbacks.on_render_frame(self.handle(), handle);
        if self.sends(Track::Video) {
            self.encoding.push(frame.image().ok_or(no_image)?);
        }
        Ok(())
    }

    /// Unpublished: its capturer has stopped when this returns.
    pub(crate) fn stop(&self) {
        self.encoding.close();
        device::stop_capture_for(self.key());
        self.stop_capturing();
    }

    /// Deleted. Nothing of it is called any more when this returns.
    pub(crate) fn end(self: &Arc<Self>) {
        if let Some(session) = self.session() {
            let _ = session.unpublish(self);
        }
        self.leave();
        self.gate.close();
    }

    // --- what its session tells ------------------------------------------------------------------

    /// Media can flow, for the first time or again.
    pub(crate) fn on_start(self: &Arc<Self>, outlet: FrameOutlet) {
        if self.has_video() {
            self.encoding.open(outlet.clone());
            let this = Arc::clone(self);
            self.ask(move || this.start_capturing());
        }
        if self.has_audio() {
            device::capture_for(self.key(), outlet);
        }
    }

    pub(crate) fn on_key_frame_wanted(&self) {
        self.encoding.want_key_frame();
    }

    pub(crate) fn on_stop(self: &Arc<Self>) {
        self.encoding.close();
        device::stop_capture_for(self.key());
        let this = Arc::clone(self);
        self.ask(move || this.stop_capturing());
    }

    fn ask(&self, job: impl FnOnce() + Send + 'static) {
        match self.session() {
            Some(session) => session.ask(job),
            None => job(),
        }
    }

    pub(crate) fn on_created(&self, stream: Arc<Stream>) {
        let lent = Lent::new(stream);
        let handle = lent.handle();
        let before = self.lock().stream.replace(lent);
        drop(before);
        if let Some(_entered) = self.gate.enter() {
            self.callbacks.on_stream_created(self.handle(), handle);
        }
    }

    /// Its stream is over, or there never was one; it may be published again.
    pub(crate) fn on_ended(&self) {
        let stream = self.leave();
        if let Some(stream) = stream
            && let Some(_entered) = self.gate.enter()
        {
            self.callbacks
                .on_stream_destroyed(self.handle(), stream.handle());
        }
    }

    /// No part of a session any more.
    fn leave(&self) -> Option<Lent> {
        self.stop();
        let mut state = self.lock();
        (state.session, state.publication) = (Weak::new(), None);
        state.stream.take()
    }

    pub(crate) fn on_error(&self, error: &SessionError) {
        let text = c_text(&error.to_string());
        if let Some(_entered) = self.gate.enter() {
            self.callbacks
                .on_error(self.handle(), text.as_ptr(), number(error));
        }
    }

    // --- its capturer ------------------------------------------------------------------------------

    fn start_capturing(&self) {
        let Some(capturer) = self.settings.capturer else {
            return;
        };
        let Some(_entered) = self.gate.enter() else {
            return;
        };
        {
            let mut state = self.lock();
            let is_wanted = state.session.strong_count() > 0 && state.phase == Phase::Idle;
            if !is_wanted {
                return;
            }
            state.phase = Phase::Starting;
        }
        let handle = self.capturer_handle();
        let mut settings = CapturerSettings::default();
        let answers: [Option<c_int>; 3] = [
            capturer.init(handle),
            capturer.get_capture_settings(handle, &raw mut settings),
            capturer.start(handle),
        ];
        if answers.contains(&Some(0)) {
            self.on_error(&SessionError::InvalidParameter("The capturer cannot start"));
        }
        let is_over = {
            let mut state = self.lock();
            let is_over = state.phase == Phase::Stopping;
            state.phase = if is_over { Phase::Idle } else { Phase::Started };
            is_over
        };
        if is_over {
            capturer.stop(handle);
            capturer.destroy(handle);
        }
    }

    fn stop_capturing(&self) {
        let Some(capturer) = self.settings.capturer else {
            return;
        };
        let Some(_entered) = self.gate.enter() else {
            return;
        };
        {
            let mut state = self.lock();
            match state.phase {
                Phase::Started => state.phase = Phase::Idle,
                Phase::Starting => {
                    // Whoever starts it does it then.
                    state.phase = Phase::Stopping;
                    return;
                }
                Phase::Idle | Phase::Stopping => return,
            }
        }
        capturer.stop(self.capturer_handle());
        capturer.destroy(self.capturer_handle());
    }

    fn capturer_handle(&self) -> Handle {
        self.capturer
            .get()
            .map_or(std::ptr::null_mut(), Lent::handle)
    }
}

/// Between the client and a publisher.
pub(crate) struct Source(pub(crate) Weak<Publisher>);

impl sealroute_client::Capturer for Source {
    fn on_start(&mut self, outlet: FrameOutlet) {
        if let Some(publisher) = self.0.upgrade() {
            publisher.on_start(outlet);
        }
    }

    fn on_key_frame_wanted(&mut self) {
        if let Some(publisher) = self.0.upgrade() {
            publisher.on_key_frame_wanted();
        }
    }

    fn on_stop(&mut self) {
        if let Some(publisher) = self.0.upgrade() {
            publisher.on_stop();
        }
    }
}
