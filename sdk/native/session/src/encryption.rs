//! The secrets of one session: what is received is opened with all that are held, what is sent is
//! encrypted under the one that the rule of the switch names (docs/e2ee.md section 9).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use sealroute_e2ee::{
    Codec, KeyPart, Owner, Receiver, Refusal, SecretRing, SendingError, SessionKey, SignalContent,
    SignalEncryptor, SignalRefusal, SubscriptionKey, Switch,
};

/// What a change of the secret leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// It was the newest already.
    Nothing,
    /// What is received opens under it; senders follow later.
    Prepare,
    /// Senders follow now.
    Move,
}

#[derive(Debug)]
pub(crate) struct Encryption {
    receiver: Receiver<SecretRing>,
    switch: Switch,
    connection_id: String,
    signals: Option<SignalEncryptor>,
    signal_senders: HashMap<String, SubscriptionKey>,
}

impl Encryption {
    pub(crate) fn new(key: SessionKey) -> Self {
        let switch = Switch::new(key.hint());
        Self {
            receiver: Receiver::new(SecretRing::new(key)),
            switch,
            connection_id: String::new(),
            signals: None,
            signal_senders: HashMap::new(),
        }
    }

    /// A welcome: of the first connection, or of another one of the same session.
    pub(crate) fn join(
        &mut self,
        connection_id: &str,
        hints: &BTreeMap<String, u64>,
        present: &BTreeSet<String>,
    ) -> Result<(), SendingError> {
        if self.connection_id != connection_id {
            connection_id.clone_into(&mut self.connection_id);
            let hint = self.switch.current();
            let key = sending_key(self.receiver.source(), hint);
            self.signals = Some(SignalEncryptor::new(connection_id, key)?);
        }
        self.switch.keep_present(present);
        for (connection, hint) in hints {
            self.on_hint(connection, *hint);
        }
        Ok(())
    }

    // --- the secret ------------------------------------------------------------------

    pub(crate) fn set(&mut self, key: SessionKey, immediate: bool, now: Duration) -> Change {
        let hint = key.hint();
        let is_new = self.receiver.source().set(key, immediate, now);
        if !is_new && !immediate {
            return Change::Nothing;
        }
        let is_hidden = is_new && hint == self.switch.current();
        self.switch.set(hint, immediate, now);
        // Two secrets with one hint: the rule sees none of it.
        if self.switch.poll(now).is_some() || is_hidden {
            return Change::Move;
        }
        if is_new {
            Change::Prepare
        } else {
            Change::Nothing
        }
    }

    /// Whether senders move now.
    pub(crate) fn poll(&mut self, now: Duration) -> bool {
        if self
            .receiver
            .source()
            .next_end()
            .is_some_and(|end| end <= now)
        {
            self.receiver.wipe(now);
        }
        self.switch.poll(now).is_some()
    }

    pub(crate) fn deadline(&mut self) -> Option<Duration> {
        let ends = [self.switch.deadline(), self.receiver.source().next_end()];
        ends.into_iter().flatten().min()
    }

    /// Senders have not followed yet, and will.
    pub(crate) fn is_switching(&self) -> bool {
        self.switch.deadline().is_some()
    }

    /// What senders encrypt under.
    pub(crate) fn sending_key(&mut self) -> &SessionKey {
        let hint = self.switch.current();
        sending_key(self.receiver.source(), hint)
    }

    /// The newest, which receivers hold already.
    pub(crate) fn newest(&mut self) -> &SessionKey {
        self.receiver.source().newest()
    }

    pub(crate) fn verification_code(&mut self) -> String {
        self.newest().verification_code()
    }

    /// Whatever leaves from now on leaves under the present secret.
    pub(crate) fn move_signals(&mut self) -> Result<(), SendingError> {
        let hint = self.switch.current();
        let key = sending_key(self.receiver.source(), hint);
        match &mut self.signals {
            Some(signals) => signals.switch(key),
            None => Ok(()),
        }
    }

    // --- the others ------------------------------------------------------------------

    pub(crate) fn on_hint(&mut self, connection_id: &str, hint: u64) {
        // The protocol bounds it; what it does not fit is no hint that anybody can have.
        if let Ok(hint) = u16::try_from(hint)
            && connection_id != self.connection_id
        {
            self.switch.on_announced(connection_id, KeyPart(hint));
        }
    }

    pub(crate) fn on_left(&mut self, connection_id: &str) {
        self.switch.on_left(connection_id);
    }

    pub(crate) fn holds(&mut self, hint: u64) -> bool {
        let hint = u16::try_from(hint).map(KeyPart);
        hint.is_ok_and(|hint| self.receiver.source().with_hint(hint).is_some())
    }

    // --- frames and signals ------------------------------------------------------------

    pub(crate) fn subscribe(&mut self, connection_id: &str, stream_id: &str) -> SubscriptionKey {
        self.receiver.subscribe(Owner::Stream {
            connection_id: connection_id.to_owned(),
            stream_id: stream_id.to_owned(),
        })
    }

    pub(crate) fn unsubscribe(&mut self, subscription: SubscriptionKey) {
        self.receiver.unsubscribe(subscription);
    }

    pub(crate) fn open(
        &mut self,
        subscription: SubscriptionKey,
        codec: Codec,
        wire: &[u8],
        now: Duration,
    ) -> Result<Vec<u8>, Refusal> {
        self.receiver.open(subscription, codec, wire, now)
    }

    pub(crate) fn encrypt_signal(&mut self, content: &SignalContent) -> Option<Vec<u8>> {
        let signals = self.signals.as_mut()?;
        match signals.encrypt(content) {
            Err(SendingError::CounterExhausted) => {
                self.move_signals().ok()?;
                self.signals.as_mut()?.encrypt(content).ok()
            }
            other => other.ok(),
        }
    }

    /// `sender`: a member. What was ever opened of it stays remembered.
    pub(crate) fn open_signal(
        &mut self,
        sender: &str,
        wire: &[u8],
        now: Duration,
    ) -> Result<SignalContent, SignalRefusal> {
        let subscription = if let Some(known) = self.signal_senders.get(sender) {
            *known
        } else {
            let connection_id = sender.to_owned();
            let subscription = self.receiver.subscribe(Owner::Signals { connection_id });
            self.signal_senders.insert(sender.to_owned(), subscription);
            subscription
        };
        self.receiver
            .open_signal(subscription, &self.connection_id, wire, now)
    }
}

/// The secret that has the hint that the switch names. It may have ended, after many changes in a
/// row; the newest then.
fn sending_key(ring: &SecretRing, hint: KeyPart) -> &SessionKey {
    ring.with_hint(hint).unwrap_or_else(|| ring.newest())
}
