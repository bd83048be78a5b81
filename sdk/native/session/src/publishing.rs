//! What this client sends: publications and the uplink that carries them. One negotiation at a time;
//! those that wait begin when it has ended.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use sealroute_e2ee::{Codec, SendingError, Track as Kind};
use sealroute_protocol::ClientMessage;
use sealroute_protocol::messages::{
    Dimensions, Direction, Publish, Published, TrackKind, TrackOffer, Unpublish, UpdateStream,
    VideoType,
};
use sealroute_rules::E2EE_FORMAT;

use crate::descriptions::AnswerRules;
use crate::encryption::Encryption;
use crate::publication::{NoWire, NotSent, Own, OwnTrack, PublishOptions};
use crate::session::Asked;
use crate::{Effect, Event, PublicationId, Session, SessionError, SessionState, Wire};

/// What the shell made of [`Effect::OfferUplink`].
#[derive(Clone, PartialEq)]
pub struct Offer {
    /// The description.
    pub sdp: String,
    /// The m-lines of the publication.
    pub lines: Vec<(Kind, String)>,
}

#[derive(Debug, Default)]
pub(crate) struct Publishing {
    pub(crate) own: BTreeMap<PublicationId, Own>,
    last: u64,
    /// Without a stream: to be negotiated, first to last.
    pub(crate) waiting: VecDeque<PublicationId>,
    /// Between the shell's offer and the use of the answer.
    pub(crate) negotiating: Option<PublicationId>,
    /// That one, if nobody wants it any more.
    pub(crate) ending: Option<Own>,
    rules: AnswerRules,
    /// Every id of a stream of this client: none comes to mean another one.
    named: BTreeSet<String>,
    /// Lost: nothing is negotiated before.
    pub(crate) again: Option<Duration>,
}

impl Publishing {
    pub(crate) fn by_stream(&self, stream_id: &str) -> Option<PublicationId> {
        let found = self.own.iter().find(|(_, own)| own.stream_id == stream_id);
        found.map(|(id, _)| *id).filter(|_| !stream_id.is_empty())
    }
}

impl Session {
    /// Begins to publish. `Published` follows, or `PublicationError`.
    pub fn publish(
        &mut self,
        options: PublishOptions,
        now: Duration,
    ) -> Result<PublicationId, SessionError> {
        if !options.audio && options.video.is_none() {
            return Err(SessionError::InvalidParameter(
                "A stream has audio or video",
            ));
        }
        if options.video == Some(Codec::Opus) {
            return Err(SessionError::InvalidParameter("Opus is no video codec"));
        }
        self.require_media()?;
        self.publishing.last += 1;
        let id = PublicationId(self.publishing.last);
        self.publishing.own.insert(id, Own::new(options));
        self.publishing.waiting.push_back(id);
        self.negotiate_next(now);
        Ok(id)
    }

    /// Ends a stream for everybody.
    pub fn unpublish(&mut self, id: PublicationId, now: Duration) -> Result<(), SessionError> {
        let own = self.publishing.own.get(&id).ok_or(NOT_THERE)?;
        let (stream_id, is_live) = (own.stream_id.clone(), own.is_live);
        self.end_publication(id);
        if is_live {
            let message = ClientMessage::Unpublish(Unpublish { stream_id });
            self.ask(message, Asked::BestEffort, now)?;
        }
        Ok(())
    }

    /// Stops or resumes audio or video for everybody.
    pub fn set_sending(
        &mut self,
        id: PublicationId,
        kind: Kind,
        is_on: bool,
        now: Duration,
    ) -> Result<(), SessionError> {
        let own = self.publishing.own.get_mut(&id).ok_or(NOT_THERE)?;
        own.mute(kind, !is_on);
        let (stream_id, is_live) = (own.stream_id.clone(), own.is_live);
        if !is_live {
            return Ok(());
        }
        if is_on && kind == Kind::Video {
            self.push(Effect::MakeKeyFrame(id));
        }
        let flag = |of: Kind| (of == kind).then_some(is_on);
        let message = ClientMessage::UpdateStream(UpdateStream {
            stream_id,
            has_audio: flag(Kind::Audio),
            has_video: flag(Kind::Video),
            ..UpdateStream::default()
        });
        self.ask(message, Asked::ByApplication, now).map(|_| ())
    }

    /// The frame as it may leave: the only way there is.
    pub fn wire(
        &mut self,
        id: PublicationId,
        codec: Codec,
        frame: &[u8],
        now: Duration,
    ) -> Result<Wire, NotSent> {
        let is_clear = match self.trust.state() {
            SessionState::None => true,
            SessionState::Keyed => false,
            _ => return Err(NotSent::Waiting),
        };
        let kind = match codec {
            Codec::Opus => Kind::Audio,
            _ => Kind::Video,
        };
        let own = self.publishing.own.get_mut(&id).ok_or(NotSent::Unknown)?;
        match own.wire(kind, codec, frame, is_clear) {
            Ok(bytes) => {
                self.tell_publication_trust(id, now);
                Ok(Wire::new(codec, bytes))
            }
            Err(NoWire::Not(why)) => Err(why),
            Err(NoWire::Error(error)) => Err(self.on_encryption_error(id, error, now)),
        }
    }

    fn on_encryption_error(
        &mut self,
        id: PublicationId,
        error: SendingError,
        now: Duration,
    ) -> NotSent {
        if error == SendingError::CounterExhausted {
            // A new key id under the same secret; this frame is the price.
            self.renew_publication(id, false, now);
            return NotSent::Waiting;
        }
        self.fail_publication(id, SessionError::EncryptionFailed, now);
        NotSent::Failed
    }

    // --- negotiation -------------------------------------------------------------------

    /// Nothing begins while the uplink waits to be made again, or another negotiation runs.
    pub(crate) fn negotiate_next(&mut self, now: Duration) {
        let publishing = &mut self.publishing;
        let is_waiting = publishing.again.is_some_and(|until| now < until);
        if publishing.negotiating.is_some() || is_waiting || !self.is_up {
            return;
        }
        publishing.again = None;
        while let Some(id) = publishing.waiting.pop_front() {
            let Some(own) = publishing.own.get(&id) else {
                continue;
            };
            publishing.negotiating = Some(id);
            let (audio, video) = (own.options.audio, own.options.video);
            let publication = id;
            self.push(Effect::OfferUplink {
                publication,
                audio,
                video,
            });
            return;
        }
    }

    /// The uplink has an offer with the publication's m-lines, or could not make one.
    pub fn on_offered(
        &mut self,
        id: PublicationId,
        offer: Result<Offer, SessionError>,
        now: Duration,
    ) {
        if self.publishing.negotiating != Some(id) {
            return;
        }
        let asked = offer.and_then(|offer| self.ask_to_publish(id, offer, now));
        if let Err(error) = asked {
            self.push(Effect::DropOffer);
            self.publishing.ending = None;
            self.end_negotiation(now);
            self.fail_publication(id, error, now);
        }
    }

    fn ask_to_publish(
        &mut self,
        id: PublicationId,
        offer: Offer,
        now: Duration,
    ) -> Result<(), SessionError> {
        let ending = self.publishing.ending.as_mut();
        let own = self
            .publishing
            .own
            .get_mut(&id)
            .or(ending)
            .ok_or(NOT_THERE)?;
        let key = self.encryption.as_mut().map(Encryption::sending_key);
        let is_encrypted = key.is_some();
        own.begin(offer.sdp.clone(), offer.lines, key)
            .map_err(|_| SessionError::EncryptionFailed)?;
        let kids = |track: &OwnTrack| is_encrypted.then(|| track.declared());
        let tracks = own.tracks.iter().map(|track| TrackOffer {
            mid: track.mid.clone(),
            kind: wire_kind(track.kind),
            kids: kids(track),
        });
        let message = ClientMessage::Publish(Publish {
            tracks: tracks.collect(),
            offer: Some(offer.sdp),
            name: own.options.name.clone(),
            video_type: own.has(Kind::Video).then_some(VideoType::Custom),
            has_audio: Some(own.is_sending(Kind::Audio)),
            has_video: Some(own.is_sending(Kind::Video)),
            video_dimensions: own.options.dimensions.map(|(width, height)| Dimensions {
                width: width.into(),
                height: height.into(),
            }),
            frame_rate: own.options.frame_rate,
            e2ee_format: is_encrypted.then(|| E2EE_FORMAT.to_owned()),
            // A member more in the table is no work here.
            ..Publish::default()
        });
        self.ask(message, Asked::Publish(id), now).map(|_| ())
    }

    pub(crate) fn on_published(
        &mut self,
        id: PublicationId,
        answer: Result<Published, SessionError>,
        now: Duration,
    ) {
        if self.publishing.negotiating != Some(id) {
            // The uplink was lost meanwhile.
            if let Ok(answer) = answer {
                self.give_back_stream(answer.stream_id, now);
            }
            return;
        }
        match answer.and_then(|answer| self.check_published(id, answer, now)) {
            Ok(answer) => self.push(Effect::ApplyAnswer {
                publication: id,
                answer,
            }),
            Err(error) => {
                self.push(Effect::DropOffer);
                self.publishing.ending = None;
                self.end_negotiation(now);
                self.fail_publication(id, error, now);
            }
        }
    }

    /// The answer to apply; what breaks the rules is given back, and carries nothing.
    fn check_published(
        &mut self,
        id: PublicationId,
        answer: Published,
        now: Duration,
    ) -> Result<String, SessionError> {
        let known = self.directory.stream(&answer.stream_id);
        let is_other = known.is_some_and(|known| known.connection_id != self.connection_id);
        let publishing = &mut self.publishing;
        if is_other || !publishing.named.insert(answer.stream_id.clone()) {
            return Err(SessionError::Unexpected(
                "The server gave two streams one id",
            ));
        }
        let ending = publishing.ending.as_mut();
        let own = publishing.own.get_mut(&id).or(ending).ok_or(NOT_THERE)?;
        own.stream_id.clone_from(&answer.stream_id);
        let checked = publishing
            .rules
            .check(&own.offer, &answer.answer, &own.mids());
        if let Err(error) = checked {
            own.stream_id.clear();
            self.give_back_stream(answer.stream_id, now);
            if self.live_publications().is_empty() {
                // It carries nothing, and what the server believes of it is another thing now.
                self.push(Effect::CloseLink(Direction::Uplink));
                self.publishing.rules = AnswerRules::default();
            }
            return Err(error);
        }
        Ok(answer.answer)
    }

    /// The shell applied the answer, or could not.
    pub fn on_answer_applied(&mut self, id: PublicationId, is_applied: bool, now: Duration) {
        if self.publishing.negotiating != Some(id) {
            return;
        }
        if let Some(mut ended) = self.publishing.ending.take() {
            // Nobody wants it any more.
            self.push(Effect::RetireLines(ended.stop()));
            self.give_back_stream(ended.stream_id, now);
            self.end_negotiation(now);
            return;
        }
        let stream_id = self
            .publishing
            .own
            .get(&id)
            .map(|own| own.stream_id.clone());
        let activated = if is_applied {
            self.activate(id, now)
        } else {
            Err(SessionError::Unexpected(
                "The server's answer cannot be used",
            ))
        };
        self.end_negotiation(now);
        let Some(stream_id) = stream_id else {
            return;
        };
        if let Err(error) = activated {
            self.give_back_stream(stream_id, now);
            self.fail_publication(id, error, now);
            return;
        }
        self.tell(Event::Published {
            publication: id,
            stream_id,
        });
        self.push(Effect::MakeKeyFrame(id));
    }

    fn activate(&mut self, id: PublicationId, now: Duration) -> Result<(), SessionError> {
        let connection_id = &self.connection_id;
        let own = self.publishing.own.get_mut(&id).ok_or(NOT_THERE)?;
        let key = self.encryption.as_mut().map(Encryption::sending_key);
        let is_other = own
            .activate(connection_id, key, now)
            .map_err(|_| SessionError::EncryptionFailed)?;
        if is_other {
            self.declare(id, now);
        }
        if self
            .encryption
            .as_ref()
            .is_some_and(Encryption::is_switching)
        {
            self.prepare_publication(id, now);
        }
        Ok(())
    }

    fn end_negotiation(&mut self, now: Duration) {
        self.publishing.negotiating = None;
        self.negotiate_next(now);
    }

    /// A stream that the server has made and that nothing will be sent for.
    pub(crate) fn give_back_stream(&mut self, stream_id: String, now: Duration) {
        let message = ClientMessage::Unpublish(Unpublish { stream_id });
        let _ = self.ask(message, Asked::BestEffort, now);
    }

    // --- ends, and again -----------------------------------------------------------------

    pub(crate) fn fail_publication(
        &mut self,
        id: PublicationId,
        error: SessionError,
        now: Duration,
    ) {
        let Some(own) = self.publishing.own.get(&id) else {
            return;
        };
        let live = own.is_live.then(|| own.stream_id.clone());
        self.tell(Event::PublicationError {
            publication: id,
            error,
        });
        self.end_publication(id);
        if let Some(stream_id) = live {
            self.give_back_stream(stream_id, now);
        }
    }

    pub(crate) fn end_publication(&mut self, id: PublicationId) {
        let Some(mut own) = self.publishing.own.remove(&id) else {
            return;
        };
        self.publishing.waiting.retain(|waiting| *waiting != id);
        if self.publishing.negotiating == Some(id) {
            // The answer that is due is applied still: both ends have the same m-lines then.
            self.publishing.ending = Some(own);
        } else {
            let mids = own.stop();
            if !mids.is_empty() {
                self.push(Effect::RetireLines(mids));
            }
        }
        self.tell(Event::PublicationEnded { publication: id });
    }

    /// The uplink is lost, and with it every stream; the publications wait for others.
    pub(crate) fn lose_uplink(&mut self, until: Option<Duration>, now: Duration) {
        self.push(Effect::CloseLink(Direction::Uplink));
        self.publishing.rules = AnswerRules::default();
        (self.publishing.negotiating, self.publishing.ending) = (None, None);
        let ids: Vec<PublicationId> = self.publishing.own.keys().copied().collect();
        for id in ids {
            if until.is_none() {
                self.fail_publication(id, SessionError::TransportLost, now);
                continue;
            }
            if let Some(own) = self.publishing.own.get_mut(&id) {
                own.stop();
                own.stream_id.clear();
            }
            if !self.publishing.waiting.contains(&id) {
                self.publishing.waiting.push_back(id);
            }
        }
        self.publishing.again = until;
        self.negotiate_next(now);
    }
}

pub(crate) const NOT_THERE: SessionError =
    SessionError::InvalidParameter("There is no such publication or subscription");

fn wire_kind(kind: Kind) -> TrackKind {
    match kind {
        Kind::Audio => TrackKind::Audio,
        Kind::Video => TrackKind::Video,
    }
}
