//! What this client receives: subscriptions, the downlink, and which of its m-lines is whose.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use sealroute_e2ee::Track as Kind;
use sealroute_protocol::ClientMessage;
use sealroute_protocol::messages::{
    Direction, DownlinkAnswer, DownlinkOffer, DownlinkTrack, Subscribe, Subscribed, TrackKind,
    Unsubscribe, UpdateSubscriber,
};

use crate::descriptions::OfferRules;
use crate::publishing::NOT_THERE;
use crate::session::Asked;
use crate::subscription::{SubscribeOptions, Theirs};
use crate::{Effect, Event, Session, SessionError, SubscriptionId};

#[derive(Debug, Default)]
pub(crate) struct Subscribing {
    pub(crate) theirs: BTreeMap<SubscriptionId, Theirs>,
    last: u64,
    pub(crate) lines: BTreeMap<String, (SubscriptionId, Kind)>,
    rules: OfferRules,
    /// The one that the shell is answering, and those behind it.
    answering: Option<DownlinkOffer>,
    offers: VecDeque<DownlinkOffer>,
    /// Lost: nothing is asked for before.
    pub(crate) again: Option<Duration>,
    waiting: VecDeque<SubscriptionId>,
}

impl Subscribing {
    fn by_server_id(&self, subscriber_id: &str) -> Option<SubscriptionId> {
        let found = self
            .theirs
            .iter()
            .find(|(_, one)| one.subscriber_id == subscriber_id);
        found
            .map(|(id, _)| *id)
            .filter(|_| !subscriber_id.is_empty())
    }
}

impl Session {
    /// To a stream of the directory. `SubscriptionConnected` follows, or `SubscriptionError`.
    pub fn subscribe(
        &mut self,
        stream_id: &str,
        options: SubscribeOptions,
        now: Duration,
    ) -> Result<SubscriptionId, SessionError> {
        self.require_media()?;
        let stream = self.directory.stream(stream_id);
        let stream = stream.ok_or(SessionError::InvalidParameter(
            "No such stream in the session",
        ))?;
        let connection_id = stream.connection_id.clone();
        let encryption = self.encryption.as_mut();
        let key = encryption.map(|encryption| encryption.subscribe(&connection_id, stream_id));
        self.subscribing.last += 1;
        let id = SubscriptionId(self.subscribing.last);
        let theirs = Theirs::new(stream_id, &connection_id, options, key);
        self.subscribing.theirs.insert(id, theirs);
        self.subscribing.waiting.push_back(id);
        self.subscribe_waiting(now);
        Ok(id)
    }

    /// Ends a subscription.
    pub fn unsubscribe(&mut self, id: SubscriptionId, now: Duration) -> Result<(), SessionError> {
        let theirs = self.subscribing.theirs.get(&id).ok_or(NOT_THERE)?;
        let subscriber_id = theirs.subscriber_id.clone();
        self.end_subscription(id);
        if subscriber_id.is_empty() {
            return Ok(());
        }
        self.give_back_subscription(subscriber_id, now);
        Ok(())
    }

    /// What of a stream comes.
    pub fn set_subscribed(
        &mut self,
        id: SubscriptionId,
        options: SubscribeOptions,
        now: Duration,
    ) -> Result<(), SessionError> {
        let theirs = self.subscribing.theirs.get_mut(&id).ok_or(NOT_THERE)?;
        theirs.options = options;
        let subscriber_id = theirs.subscriber_id.clone();
        if subscriber_id.is_empty() {
            return Ok(());
        }
        let message = ClientMessage::UpdateSubscriber(UpdateSubscriber {
            subscriber_id,
            audio: Some(options.audio),
            video: Some(options.video),
            ..UpdateSubscriber::default()
        });
        self.ask(message, Asked::ByApplication, now).map(|_| ())
    }

    pub(crate) fn subscribe_waiting(&mut self, now: Duration) {
        let is_lost = self.subscribing.again.is_some_and(|until| now < until);
        if is_lost || !self.is_up {
            return;
        }
        self.subscribing.again = None;
        while let Some(id) = self.subscribing.waiting.pop_front() {
            let Some(theirs) = self.subscribing.theirs.get(&id) else {
                continue;
            };
            let message = ClientMessage::Subscribe(Subscribe {
                stream_id: theirs.stream_id.clone(),
                audio: Some(theirs.options.audio),
                video: Some(theirs.options.video),
                ..Subscribe::default()
            });
            if let Err(error) = self.ask(message, Asked::Subscribe(id), now) {
                self.fail_subscription(id, error);
            }
        }
    }

    pub(crate) fn on_subscribed(
        &mut self,
        id: SubscriptionId,
        answer: Result<Subscribed, SessionError>,
        now: Duration,
    ) {
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                self.fail_subscription(id, error);
                return;
            }
        };
        let subscriber_id = answer.subscriber_id;
        let is_taken = self.subscribing.by_server_id(&subscriber_id).is_some();
        let is_again = self.subscribing.waiting.contains(&id);
        let Some(theirs) = self.subscribing.theirs.get_mut(&id).filter(|_| !is_again) else {
            // Nobody wants it any more, or the downlink was lost meanwhile.
            self.give_back_subscription(subscriber_id, now);
            return;
        };
        if is_taken {
            let text = "The server gave two subscriptions one id";
            self.fail_subscription(id, SessionError::DecryptionFailed(text));
        } else if answer.stream_id != theirs.stream_id {
            self.give_back_subscription(subscriber_id, now);
            let text = "The server subscribed this client to another stream";
            self.fail_subscription(id, SessionError::Unexpected(text));
        } else {
            theirs.subscriber_id = subscriber_id;
        }
    }

    pub(crate) fn give_back_subscription(&mut self, subscriber_id: String, now: Duration) {
        let message = ClientMessage::Unsubscribe(Unsubscribe { subscriber_id });
        let _ = self.ask(message, Asked::BestEffort, now);
    }

    // --- the downlink ----------------------------------------------------------------------

    pub(crate) fn on_offer(&mut self, offer: DownlinkOffer, now: Duration) {
        self.subscribing.offers.push_back(offer);
        self.answer_next(now);
    }

    fn answer_next(&mut self, now: Duration) {
        while self.subscribing.answering.is_none() {
            let Some(offer) = self.subscribing.offers.pop_front() else {
                return;
            };
            if let Err(error) = self.require_media() {
                self.complain(error, now);
                continue;
            }
            let carrying: Vec<&str> = offer
                .tracks
                .iter()
                .map(|track| track.mid.as_str())
                .collect();
            if let Err(error) = self.subscribing.rules.check(&offer.sdp, &carrying) {
                // Nothing of it was applied: what was agreed on before goes on.
                self.complain(error, now);
                continue;
            }
            let (offer_id, sdp) = (offer.offer_id, offer.sdp.clone());
            self.subscribing.answering = Some(offer);
            self.push(Effect::AnswerDownlink {
                offer_id,
                offer: sdp,
            });
        }
    }

    /// The shell's answer to an offer, or none if it cannot be used.
    pub fn on_answered(&mut self, offer_id: u64, answer: Option<String>, now: Duration) {
        let is_current = |offer: &DownlinkOffer| offer.offer_id == offer_id;
        if !self.subscribing.answering.as_ref().is_some_and(is_current) {
            return;
        }
        let Some(offer) = self.subscribing.answering.take() else {
            return;
        };
        if let Some(sdp) = answer {
            self.bind(&offer.tracks, now);
            let message = ClientMessage::DownlinkAnswer(DownlinkAnswer { offer_id, sdp });
            if let Err(error) = self.ask(message, Asked::ByApplication, now) {
                self.complain(error, now);
            }
        } else {
            // What is half applied is no ground to stand on.
            self.close_downlink();
            let text = "An offer of the server could not be used";
            self.complain(SessionError::DecryptionFailed(text), now);
        }
        self.answer_next(now);
    }

    fn close_downlink(&mut self) {
        self.push(Effect::CloseLink(Direction::Downlink));
        self.subscribing.rules = OfferRules::default();
        self.subscribing.answering = None;
        self.subscribing.offers.clear();
        for mid in std::mem::take(&mut self.subscribing.lines).into_keys() {
            self.push(Effect::LineFreed { mid });
        }
    }

    /// Each m-line goes to the subscription that asked for its stream, or to nobody.
    fn bind(&mut self, tracks: &[DownlinkTrack], now: Duration) {
        let mut wanted: BTreeMap<String, (SubscriptionId, Kind)> = BTreeMap::new();
        for track in tracks {
            let Some(id) = self.subscribing.by_server_id(&track.subscriber_id) else {
                continue;
            };
            match self.fault(id, track, &wanted) {
                Some(text) => self.complain(SessionError::DecryptionFailed(text), now),
                None => {
                    wanted.insert(track.mid.clone(), (id, own_kind(track.kind)));
                }
            }
        }
        let before = std::mem::replace(&mut self.subscribing.lines, wanted.clone());
        // First what is given away, so that no track has two owners at any time.
        for (mid, _) in before
            .iter()
            .filter(|(mid, owner)| wanted.get(*mid) != Some(*owner))
        {
            self.push(Effect::LineFreed { mid: mid.clone() });
        }
        for (mid, owner) in wanted
            .into_iter()
            .filter(|(mid, owner)| before.get(mid) != Some(owner))
        {
            let (subscription, track) = owner;
            self.push(Effect::LineBound {
                mid,
                subscription,
                track,
            });
        }
    }

    fn fault(
        &self,
        id: SubscriptionId,
        track: &DownlinkTrack,
        wanted: &BTreeMap<String, (SubscriptionId, Kind)>,
    ) -> Option<&'static str> {
        let kind = own_kind(track.kind);
        let word = match kind {
            Kind::Audio => "audio",
            Kind::Video => "video",
        };
        let theirs = self.subscribing.theirs.get(&id)?;
        if track.stream_id != theirs.stream_id {
            return Some("The server offered one stream under the name of another");
        }
        if self.subscribing.rules.kind(&track.mid) != Some(word) {
            return Some("The server named an m-line that its offer does not have");
        }
        let is_twice = wanted.contains_key(&track.mid);
        if is_twice || wanted.values().any(|owner| *owner == (id, kind)) {
            return Some("The server offered one stream twice to one subscriber");
        }
        None
    }

    // --- ends, and again -----------------------------------------------------------------------

    pub(crate) fn on_subscriber_connected(&mut self, subscriber_id: &str) {
        if let Some(subscription) = self.subscribing.by_server_id(subscriber_id) {
            self.tell(Event::SubscriptionConnected { subscription });
            self.request_key_frame(subscription);
        }
    }

    pub(crate) fn on_stream_state(&mut self, subscriber_id: &str, is_paused: bool) {
        let Some(subscription) = self.subscribing.by_server_id(subscriber_id) else {
            return;
        };
        let Some(theirs) = self.subscribing.theirs.get_mut(&subscription) else {
            return;
        };
        if std::mem::replace(&mut theirs.is_paused, is_paused) != is_paused {
            let is_disabled = is_paused;
            self.tell(Event::VideoDisabled {
                subscription,
                is_disabled,
            });
        }
    }

    fn fail_subscription(&mut self, subscription: SubscriptionId, error: SessionError) {
        if self.subscribing.theirs.contains_key(&subscription) {
            self.tell(Event::SubscriptionError {
                subscription,
                error,
            });
            self.end_subscription(subscription);
        }
    }

    pub(crate) fn end_subscription(&mut self, subscription: SubscriptionId) {
        let Some(theirs) = self.subscribing.theirs.remove(&subscription) else {
            return;
        };
        self.subscribing
            .waiting
            .retain(|waiting| *waiting != subscription);
        if let (Some(encryption), Some(key)) = (self.encryption.as_mut(), theirs.key) {
            encryption.unsubscribe(key);
        }
        let is_its = |(mid, owner): (&String, &(SubscriptionId, Kind))| {
            (owner.0 == subscription).then(|| mid.clone())
        };
        let mids: Vec<String> = self.subscribing.lines.iter().filter_map(is_its).collect();
        for mid in mids {
            self.subscribing.lines.remove(&mid);
            self.push(Effect::LineFreed { mid });
        }
        self.tell(Event::SubscriptionEnded { subscription });
    }

    /// The stream is gone for everybody.
    pub(crate) fn end_subscriptions_to(&mut self, stream_id: &str) {
        let of = |(id, theirs): (&SubscriptionId, &Theirs)| {
            (theirs.stream_id == stream_id).then_some(*id)
        };
        let ids: Vec<SubscriptionId> = self.subscribing.theirs.iter().filter_map(of).collect();
        for id in ids {
            self.end_subscription(id);
        }
    }

    /// The downlink is lost; its subscriptions wait for what comes over another.
    pub(crate) fn lose_downlink(&mut self, until: Option<Duration>, now: Duration) {
        self.close_downlink();
        let ids: Vec<SubscriptionId> = self.subscribing.theirs.keys().copied().collect();
        for id in ids {
            if until.is_none() {
                self.fail_subscription(id, SessionError::TransportLost);
                continue;
            }
            if let Some(theirs) = self.subscribing.theirs.get_mut(&id) {
                theirs.subscriber_id.clear();
            }
            if !self.subscribing.waiting.contains(&id) {
                self.subscribing.waiting.push_back(id);
            }
        }
        self.subscribing.again = until;
        self.subscribe_waiting(now);
    }
}

fn own_kind(kind: TrackKind) -> Kind {
    match kind {
        TrackKind::Audio => Kind::Audio,
        TrackKind::Video => Kind::Video,
    }
}
