//! One subscriber: a stream of somebody else, as a program sees and hears it.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use sealroute_client::{SessionError, SubscribeOptions, SubscriptionId};
use sealroute_codecs::Image;

use crate::border::number;
use crate::callbacks::{EncryptionCallbacks, SubscriberCallbacks};
use crate::frame::Frame;
use crate::gate::Gate;
use crate::handles::{self, Handle, Lent};
use crate::session::Session;
use crate::stream::{Stream, c_text};

/// The network carries no video of it, or does again.
const QUALITY_CHANGED: i32 = 3;

const MISMATCH: &str = "The stream cannot be decrypted with the present encryption secret";

struct State {
    session: Weak<Session>,
    subscription: Option<SubscriptionId>,
    options: SubscribeOptions,
    encryption: Option<EncryptionCallbacks>,
}

pub(crate) struct Subscriber {
    pub(crate) stream: Arc<Stream>,
    lent_stream: Lent,
    callbacks: SubscriberCallbacks,
    gate: Gate,
    handle: OnceLock<usize>,
    state: Mutex<State>,
}

impl Subscriber {
    pub(crate) fn begin(stream: Arc<Stream>, callbacks: SubscriberCallbacks) -> Handle {
        let subscriber = Arc::new(Self {
            lent_stream: Lent::new(Arc::clone(&stream)),
            stream,
            callbacks,
            gate: Gate::new(),
            handle: OnceLock::new(),
            state: Mutex::new(State {
                session: Weak::new(),
                subscription: None,
                options: SubscribeOptions::default(),
                encryption: None,
            }),
        });
        let handle = handles::insert(Arc::clone(&subscriber));
        let _ = subscriber.handle.set(handle as usize);
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

    // --- what the program asks for -----------------------------------------------------------------

    pub(crate) fn session(&self) -> Option<Arc<Session>> {
        self.lock().session.upgrade()
    }

    pub(crate) fn subscription(&self) -> Option<SubscriptionId> {
        self.lock().subscription
    }

    pub(crate) fn options(&self) -> SubscribeOptions {
        self.lock().options
    }

    pub(crate) fn stream_handle(&self) -> Handle {
        self.lent_stream.handle()
    }

    /// False: it is subscribed already.
    pub(crate) fn join(&self, session: &Arc<Session>) -> bool {
        let mut state = self.lock();
        if state.session.strong_count() > 0 {
            return false;
        }
        state.session = Arc::downgrade(session);
        true
    }

    pub(crate) fn bind(&self, subscription: SubscriptionId) {
        self.lock().subscription = Some(subscription);
    }

    pub(crate) fn set_options(
        &self,
        change: impl FnOnce(&mut SubscribeOptions),
    ) -> Result<(), SessionError> {
        let (session, subscription, options) = {
            let mut state = self.lock();
            change(&mut state.options);
            (state.session.upgrade(), state.subscription, state.options)
        };
        match session.zip(subscription) {
            Some((session, subscription)) => {
                session.client()?.set_subscribed(subscription, options)
            }
            None => Ok(()),
        }
    }

    pub(crate) fn set_encryption(&self, callbacks: EncryptionCallbacks) {
        self.lock().encryption = Some(callbacks);
    }

    /// Deleted. Nothing of it is called any more when this returns.
    pub(crate) fn end(self: &Arc<Self>) {
        if let Some(session) = self.session() {
            let _ = session.unsubscribe(self);
        }
        self.on_ended();
        self.gate.close();
    }

    // --- what its session tells ----------------------------------------------------------------------

    pub(crate) fn on_connected(&self) {
        if let Some(_entered) = self.gate.enter() {
            self.callbacks
                .on_connected(self.handle(), self.stream_handle());
        }
    }

    pub(crate) fn on_image(&self, image: &Image) {
        if let Some(_entered) = self.gate.enter() {
            let lent = Lent::new(Arc::new(Frame::of_image(image)));
            self.callbacks.on_render_frame(self.handle(), lent.handle());
        }
    }

    pub(crate) fn on_video(&self, is_disabled: bool) {
        let Some(_entered) = self.gate.enter() else {
            return;
        };
        if is_disabled {
            self.callbacks
                .on_video_disabled(self.handle(), QUALITY_CHANGED);
        } else {
            self.callbacks
                .on_video_enabled(self.handle(), QUALITY_CHANGED);
        }
    }

    pub(crate) fn on_match(&self) {
        let callbacks = self.lock().encryption;
        if let Some(callbacks) = callbacks
            && let Some(_entered) = self.gate.enter()
        {
            callbacks.on_encryption_secret_match(self.handle());
        }
    }

    pub(crate) fn on_error(&self, error: &SessionError) {
        let text = match error {
            SessionError::SecretMismatch => c_text(MISMATCH),
            error => c_text(&error.to_string()),
        };
        if let Some(_entered) = self.gate.enter() {
            self.callbacks
                .on_error(self.handle(), text.as_ptr(), number(error));
        }
    }

    /// No part of a session any more.
    pub(crate) fn on_ended(&self) {
        crate::device::stop_render_of(self.key());
        let mut state = self.lock();
        (state.session, state.subscription) = (Weak::new(), None);
    }

    /// The decoder cannot go on.
    pub(crate) fn request_key_frame(&self) {
        if let Some(session) = self.session()
            && let Ok(client) = session.client()
            && let Some(subscription) = self.subscription()
        {
            client.request_key_frame(subscription);
        }
    }
}
