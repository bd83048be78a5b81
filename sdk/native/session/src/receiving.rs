//! Frames of the others: opened, counted, and handed on; and what follows where they do not open.

use std::time::Duration;

use sealroute_e2ee::{Codec, Event as Detected, Notices, Refusal, Report, Track as Kind};
use sealroute_protocol::ClientMessage;
use sealroute_protocol::messages::{E2eeState, EncryptionReport};

use crate::session::Asked;
use crate::subscription::Theirs;
use crate::{Effect, Event, Session, SessionState, SubscriptionId};

/// A frame that arrived and may be played.
#[derive(Clone, PartialEq)]
pub struct Opened {
    /// Whose.
    pub subscription: SubscriptionId,
    /// As its encoder made it.
    pub frame: Vec<u8>,
}

impl Session {
    /// A whole frame came over an m-line of the downlink. None: nobody may play it.
    pub fn on_frame(
        &mut self,
        mid: &str,
        codec: Codec,
        wire: &[u8],
        now: Duration,
    ) -> Option<Opened> {
        let (subscription, kind) = *self.subscribing.lines.get(mid)?;
        if (codec == Codec::Opus) != (kind == Kind::Audio) {
            return None;
        }
        let theirs = self.subscribing.theirs.get_mut(&subscription)?;
        match (self.trust.state(), theirs.key) {
            (SessionState::None, None) => {
                let frame = wire.to_vec();
                Some(Opened {
                    subscription,
                    frame,
                })
            }
            (SessionState::Keyed, Some(key)) => {
                let encryption = self.encryption.as_mut()?;
                let opened = encryption.open(key, codec, wire, now);
                let result = opened.as_ref().map(|_| ()).map_err(|refusal| *refusal);
                self.on_result(subscription, kind, result, now);
                let frame = opened.ok()?;
                Some(Opened {
                    subscription,
                    frame,
                })
            }
            _ => None,
        }
    }

    fn on_result(
        &mut self,
        id: SubscriptionId,
        kind: Kind,
        result: Result<(), Refusal>,
        now: Duration,
    ) {
        let Some(theirs) = self.subscribing.theirs.get_mut(&id) else {
            return;
        };
        if result.is_ok() {
            theirs.trust.on_frame();
        }
        let notices = theirs.detection.on_frame(kind, result, now);
        self.on_notices(id, notices, now);
    }

    pub(crate) fn on_notices(&mut self, id: SubscriptionId, notices: Notices, now: Duration) {
        if let Some(report) = notices.report {
            self.report(id, report, now);
        }
        let Some(theirs) = self.subscribing.theirs.get_mut(&id) else {
            return;
        };
        let subscription = id;
        match notices.event {
            Some(Detected::Mismatch) => {
                theirs.trust.on_mismatch(true);
                self.tell(Event::EncryptionSecretMismatch { subscription });
            }
            Some(Detected::Match) => {
                theirs.trust.on_mismatch(false);
                self.tell(Event::EncryptionSecretMatch { subscription });
                self.request_key_frame(id);
            }
            None => {}
        }
        self.tell_subscription_trust(id, now);
    }

    fn tell_subscription_trust(&mut self, subscription: SubscriptionId, now: Duration) {
        let theirs = self.subscribing.theirs.get_mut(&subscription);
        if let Some(state) = theirs.and_then(|theirs| theirs.news(now)) {
            self.tell(Event::SubscriptionTrust {
                subscription,
                state,
            });
        }
    }

    /// The server stops or resumes the video of a subscription that does not open.
    fn report(&mut self, id: SubscriptionId, report: Report, now: Duration) {
        let Some(theirs) = self.subscribing.theirs.get(&id) else {
            return;
        };
        let (decrypted, failed) = theirs.detection.totals();
        let message = ClientMessage::E2eeState(E2eeState {
            subscriber_id: theirs.subscriber_id.clone(),
            state: match report {
                Report::Mismatch => EncryptionReport::Mismatch,
                Report::Ok => EncryptionReport::Ok,
            },
            decrypted: Some(decrypted),
            failed: Some(failed),
        });
        let _ = self.ask(message, Asked::Passing, now);
        if report == Report::Ok {
            self.request_key_frame(id);
        }
    }

    /// Its video goes on with the next key frame, which is requested.
    pub fn request_key_frame(&mut self, id: SubscriptionId) {
        let of = |(mid, owner): (&String, &(SubscriptionId, Kind))| {
            (*owner == (id, Kind::Video)).then(|| mid.clone())
        };
        if let Some(mid) = self.subscribing.lines.iter().find_map(of) {
            self.push(Effect::RequestKeyFrame { mid });
        }
    }

    /// A new secret may open what failed, and the server holds back what did: it is asked again.
    pub(crate) fn probe_all(&mut self, now: Duration) {
        let ids: Vec<SubscriptionId> = self.subscribing.theirs.keys().copied().collect();
        for id in ids {
            if let Some(theirs) = self.subscribing.theirs.get_mut(&id) {
                let notices = theirs.detection.on_secret_set(now);
                self.on_notices(id, notices, now);
            }
        }
    }

    /// A publisher may have moved to a secret that is held: its video is asked for again.
    pub(crate) fn probe_streams_of(&mut self, connection_id: &str, now: Duration) {
        let of = |(id, theirs): (&SubscriptionId, &Theirs)| {
            (theirs.connection_id == connection_id).then_some(*id)
        };
        let ids: Vec<SubscriptionId> = self.subscribing.theirs.iter().filter_map(of).collect();
        for id in ids {
            if let Some(theirs) = self.subscribing.theirs.get_mut(&id) {
                let notices = theirs.detection.on_probe();
                self.on_notices(id, notices, now);
            }
        }
    }
}
