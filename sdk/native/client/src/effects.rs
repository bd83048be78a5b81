//! What the session wants done, and what others want of the session.

use std::sync::atomic::Ordering;
use std::time::Instant;

use sealroute_protocol::messages::Direction;
use sealroute_session::{Effect, Event, Offer, PublicationId, SessionError};
use sealroute_transport::TransportError;

use crate::callbacks::Callback;
use crate::command::Command;
use crate::links::Wired;
use crate::network::{DOWNLINK, Network, UPLINK};

fn unusable(_: TransportError) -> SessionError {
    SessionError::ConnectFailed("A media transport cannot be made")
}

impl Network {
    pub(crate) fn do_effects(&mut self) {
        while let Some(effect) = self.session.next_effect() {
            self.do_effect(effect);
        }
    }

    fn do_effect(&mut self, effect: Effect) {
        match effect {
            Effect::OpenSocket => self.open_socket(),
            Effect::CloseSocket => self.close_socket(),
            Effect::Send(request) => {
                let sent = self
                    .socket
                    .as_mut()
                    .map(|socket| socket.send(request.bytes()));
                if sent == Some(false) {
                    self.lose_socket(None);
                }
            }
            Effect::OfferUplink {
                publication,
                audio,
                video,
            } => {
                let offer = self.offer(publication, audio, video);
                let now = self.now();
                self.session
                    .on_offered(publication, offer.map_err(unusable), now);
            }
            Effect::ApplyAnswer {
                publication,
                answer,
            } => {
                let link = self.uplink.as_mut();
                let applied = link.is_some_and(|link| link.transport.apply(&answer).is_ok());
                self.flush_uplink();
                let now = self.now();
                self.session.on_answer_applied(publication, applied, now);
            }
            Effect::DropOffer => {
                if let Some(link) = &mut self.uplink {
                    link.transport.drop_offer();
                }
            }
            Effect::RetireLines(mids) => {
                if let Some(link) = &mut self.uplink {
                    link.transport.retire(&mids);
                }
            }
            Effect::AnswerDownlink { offer_id, offer } => {
                let answer = self.answer(&offer);
                let now = self.now();
                self.session.on_answered(offer_id, answer.ok(), now);
            }
            Effect::LineBound {
                mid, subscription, ..
            } => {
                self.assemblies.insert(mid, (subscription, None));
            }
            Effect::LineFreed { mid } => {
                self.assemblies.remove(&mid);
            }
            Effect::CloseLink(direction) => self.close_link(direction),
            Effect::MakeKeyFrame(publication) => {
                self.callbacks.tell(Callback::KeyFrameWanted(publication));
            }
            Effect::RequestKeyFrame { mid } => self.request_key_frame(&mid),
            Effect::Tell(event) => self.tell(event),
        }
    }

    fn tell(&mut self, event: Event) {
        match &event {
            Event::Published { publication, .. } => {
                let own = self.own.entry(*publication).or_default();
                (own.is_published, own.is_started) = (true, false);
                self.start_all();
            }
            Event::PublicationEnded { publication } => {
                self.own.remove(publication);
            }
            _ => {}
        }
        self.callbacks.tell(Callback::Event(event));
    }

    fn offer(
        &mut self,
        publication: PublicationId,
        audio: bool,
        video: Option<sealroute_e2ee::Codec>,
    ) -> Result<Offer, TransportError> {
        let mut link = match self.uplink.take() {
            Some(link) => link,
            None => Wired::open(self.local, self.poll.registry(), UPLINK, Instant::now())?,
        };
        let mut sequence = [0; 2];
        getrandom::fill(&mut sequence).map_err(|_| TransportError::Broken)?;
        let offered = link
            .transport
            .offer(audio, video, u16::from_be_bytes(sequence));
        self.uplink = Some(link);
        let offered = offered?;
        let own = self.own.entry(publication).or_default();
        own.lines.clone_from(&offered.lines);
        own.packetizers.clear();
        (own.is_published, own.is_started) = (false, false);
        let (sdp, lines) = (offered.sdp, offered.lines);
        Ok(Offer { sdp, lines })
    }

    fn answer(&mut self, offer: &str) -> Result<String, TransportError> {
        let mut link = match self.downlink.take() {
            Some(link) => link,
            None => Wired::open(self.local, self.poll.registry(), DOWNLINK, Instant::now())?,
        };
        let answer = link.transport.answer(offer);
        link.flush();
        self.downlink = Some(link);
        answer
    }

    fn flush_uplink(&mut self) {
        if let Some(link) = &mut self.uplink {
            link.flush();
        }
    }

    fn close_link(&mut self, direction: Direction) {
        match direction {
            Direction::Uplink => {
                if let Some(link) = self.uplink.take() {
                    link.close(self.poll.registry());
                }
                for own in self.own.values_mut() {
                    (own.is_published, own.is_started) = (false, false);
                }
            }
            Direction::Downlink => {
                if let Some(link) = self.downlink.take() {
                    link.close(self.poll.registry());
                }
                self.assemblies.clear();
            }
        }
    }

    // --- commands ------------------------------------------------------------------------------

    pub(crate) fn take_commands(&mut self) {
        loop {
            match self.inbox.try_recv() {
                Ok(command) => {
                    self.take_command(command);
                    self.do_effects();
                }
                Err(_) => return,
            }
        }
    }

    fn take_command(&mut self, command: Command) {
        let now = self.now();
        match command {
            Command::Key { key, immediate } => {
                let _ = self.session.set_key(key, immediate, now);
                // The first one is what the session waits for.
                let _ = self.session.connect(now);
            }
            Command::Socket { attempt, opened } => self.on_opened(attempt, *opened),
            Command::Publish {
                options,
                capturer,
                reply,
            } => {
                let begun = self.session.publish(options, now);
                if let Ok(publication) = &begun {
                    self.callbacks
                        .tell(Callback::AddCapturer(*publication, capturer));
                }
                let _ = reply.send(begun);
            }
            Command::Unpublish { publication, reply } => {
                let _ = reply.send(self.session.unpublish(publication, now));
            }
            Command::SetSending {
                publication,
                track,
                is_on,
                reply,
            } => {
                let _ = reply.send(self.session.set_sending(publication, track, is_on, now));
            }
            Command::Subscribe {
                stream_id,
                options,
                renderer,
                reply,
            } => {
                let begun = self.session.subscribe(&stream_id, options, now);
                if let Ok(subscription) = &begun {
                    self.callbacks
                        .tell(Callback::AddRenderer(*subscription, renderer));
                }
                let _ = reply.send(begun);
            }
            Command::Unsubscribe {
                subscription,
                reply,
            } => {
                let _ = reply.send(self.session.unsubscribe(subscription, now));
            }
            Command::SetSubscribed {
                subscription,
                options,
                reply,
            } => {
                let _ = reply.send(self.session.set_subscribed(subscription, options, now));
            }
            Command::Signal {
                to,
                kind,
                data,
                reply,
            } => {
                let _ = reply.send(self.session.signal(to.as_deref(), &kind, &data, now));
            }
            Command::Frame {
                publication,
                frame,
                waiting,
            } => {
                waiting.fetch_sub(1, Ordering::AcqRel);
                self.send_frame(publication, &frame);
            }
            Command::VerificationCode { reply } => {
                let _ = reply.send(self.session.verification_code());
            }
            Command::ConnectionId { reply } => {
                let _ = reply.send(Ok(self.session.connection_id().to_owned()));
            }
            Command::OwnConnection { reply } => {
                let own = self.session.own_connection().cloned();
                let both = own.zip(self.session.capabilities().cloned());
                let _ = reply.send(both.ok_or(SessionError::NotConnected));
            }
            Command::RequestKeyFrame { subscription } => {
                self.session.request_key_frame(subscription);
            }
            Command::Disconnect => {
                self.session.disconnect(now);
                self.is_dropped = true;
            }
        }
    }
}
