//! What was opened of each stream, and by whom it was sent: it lives as long as the session, and
//! nothing that the server says resets it (docs/e2ee.md section 7).

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use sealroute_rules::{AUDIO_WINDOW, SIGNAL_WINDOW, VIDEO_WINDOW};

use crate::contexts::Contexts;
use crate::window::Window;
use crate::{KeyId, Refusal};

/// What is counted by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Opus.
    Audio,
    /// Any video codec.
    Video,
    /// Encrypted signals.
    Signal,
}

impl Kind {
    fn window(self) -> u64 {
        match self {
            Self::Audio => AUDIO_WINDOW,
            Self::Video => VIDEO_WINDOW,
            Self::Signal => SIGNAL_WINDOW,
        }
    }
}

/// Whose history: a stream, or the signals of a connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HistoryKey {
    /// By stream id, whichever connection it is said to be of.
    Stream(String),
    /// By connection id.
    Signals(String),
}

/// One subscription of a history; it plays each frame once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SubscriptionKey(u64);

#[derive(Debug, Default)]
struct History {
    /// The sender part of the first frame that opened, of any kind.
    sender: Option<u32>,
    kinds: HashMap<Kind, KindHistory>,
}

#[derive(Debug, Default)]
struct KindHistory {
    contexts: Contexts,
    /// Of all subscriptions that there are and were.
    opened: BTreeMap<KeyId, Window>,
    /// Of each one.
    by_subscription: HashMap<SubscriptionKey, BTreeMap<KeyId, Window>>,
}

impl KindHistory {
    /// Windows of key ids that are retired are of no use: the key ids are remembered.
    fn forget_retired(&mut self) {
        let contexts = &self.contexts;
        let windows = std::iter::once(&mut self.opened).chain(self.by_subscription.values_mut());
        for of_key_ids in windows {
            of_key_ids.retain(|key_id, _| contexts.is_active(*key_id));
        }
    }
}

/// All histories of a session, and its subscriptions.
#[derive(Debug, Default)]
pub struct Histories {
    by_key: HashMap<HistoryKey, History>,
    subscriptions: HashMap<SubscriptionKey, HistoryKey>,
    last: u64,
}

impl Histories {
    /// A subscription that begins with everything that was opened.
    pub fn subscribe(&mut self, key: HistoryKey) -> SubscriptionKey {
        self.last += 1;
        let subscription = SubscriptionKey(self.last);
        let history = self.by_key.entry(key.clone()).or_default();
        for kind in history.kinds.values_mut() {
            kind.by_subscription
                .insert(subscription, kind.opened.clone());
        }
        self.subscriptions.insert(subscription, key);
        subscription
    }

    /// Its windows go, what was opened stays.
    pub fn unsubscribe(&mut self, subscription: SubscriptionKey) {
        let Some(key) = self.subscriptions.remove(&subscription) else {
            return;
        };
        let history = self.by_key.entry(key).or_default();
        for kind in history.kinds.values_mut() {
            kind.by_subscription.remove(&subscription);
        }
    }

    /// Whether a frame may be opened: before its tag is looked at, and before a key is derived.
    pub fn check(
        &mut self,
        subscription: SubscriptionKey,
        kind: Kind,
        (key_id, counter): (KeyId, u32),
        now: Duration,
    ) -> Result<(), Refusal> {
        let history = self.history(subscription).ok_or(Refusal::Sender)?;
        if history
            .sender
            .is_some_and(|sender| sender != key_id.sender())
        {
            return Err(Refusal::Sender);
        }
        let Some(of_kind) = history.kinds.get_mut(&kind) else {
            return Ok(());
        };
        if of_kind.contexts.is_retired(key_id, now) {
            of_kind.forget_retired();
            return Err(Refusal::Replay);
        }
        let windows = of_kind.by_subscription.get(&subscription);
        match windows.and_then(|windows| windows.get(&key_id)) {
            Some(window) if !window.is_open(counter) => Err(Refusal::Replay),
            _ => Ok(()),
        }
    }

    /// The tag of a frame verified.
    pub fn open(
        &mut self,
        subscription: SubscriptionKey,
        kind: Kind,
        (key_id, counter): (KeyId, u32),
        now: Duration,
    ) {
        let Some(history) = self.history(subscription) else {
            return;
        };
        history.sender.get_or_insert(key_id.sender());
        let of_kind = history.kinds.entry(kind).or_default();
        let new = || Window::new(kind.window());
        of_kind
            .opened
            .entry(key_id)
            .or_insert_with(new)
            .mark(counter);
        let windows = of_kind.by_subscription.entry(subscription).or_default();
        windows.entry(key_id).or_insert_with(new).mark(counter);
        of_kind.contexts.open(key_id, now);
        of_kind.forget_retired();
    }

    /// Whether frames under a key id came that were opened, and may still come.
    pub fn is_active(&self, key: &HistoryKey, key_id: KeyId) -> bool {
        let history = self.by_key.get(key);
        history.is_some_and(|one| {
            one.kinds
                .values()
                .any(|kind| kind.contexts.is_active(key_id))
        })
    }

    fn history(&mut self, subscription: SubscriptionKey) -> Option<&mut History> {
        self.by_key.get_mut(self.subscriptions.get(&subscription)?)
    }
}
