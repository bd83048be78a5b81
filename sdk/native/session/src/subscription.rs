//! One stream of somebody else, as this client receives it.

use std::time::Duration;

use sealroute_e2ee::{Detection, SubscriptionKey};

use crate::{StreamState, StreamTrust};

/// What of a stream an application wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubscribeOptions {
    /// Its audio.
    pub audio: bool,
    /// Its video.
    pub video: bool,
}

impl Default for SubscribeOptions {
    fn default() -> Self {
        Self {
            audio: true,
            video: true,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Theirs {
    pub(crate) stream_id: String,
    /// Of the publisher, as the directory named it when it was subscribed to.
    pub(crate) connection_id: String,
    pub(crate) options: SubscribeOptions,
    /// Empty while the server has not named it.
    pub(crate) subscriber_id: String,
    /// Of an encrypted session.
    pub(crate) key: Option<SubscriptionKey>,
    pub(crate) detection: Detection,
    pub(crate) trust: StreamTrust,
    pub(crate) told: Option<StreamState>,
    pub(crate) is_paused: bool,
}

impl Theirs {
    pub(crate) fn new(
        stream_id: &str,
        connection_id: &str,
        options: SubscribeOptions,
        key: Option<SubscriptionKey>,
    ) -> Self {
        Self {
            stream_id: stream_id.to_owned(),
            connection_id: connection_id.to_owned(),
            options,
            subscriber_id: String::new(),
            key,
            detection: Detection::default(),
            trust: StreamTrust::default(),
            told: None,
            is_paused: false,
        }
    }

    /// The state to report, once for each change.
    pub(crate) fn news(&mut self, now: Duration) -> Option<StreamState> {
        self.key?;
        let state = self.trust.state(now);
        (self.told.replace(state) != Some(state)).then_some(state)
    }
}
