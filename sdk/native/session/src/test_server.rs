//! For tests: a session with a server that says whatever the test wants.

use std::collections::BTreeMap;
use std::time::Duration;

use sealroute_e2ee::{Codec, KeyPart, Publication, SessionKey, Track};
use sealroute_protocol::messages::{
    Capabilities, ConnectionInfo, DownlinkOffer, DownlinkTrack, Hello, HintAnnounced, Pong,
    Publish, Published, SessionInfo, StreamInfo, Subscribed, TrackKind, Welcome,
};
use sealroute_protocol::{ClientMessage, Said, ServerMessage};

use crate::{
    ClientInfo, Credentials, Effect, Event, Offer, PublicationId, PublishOptions, Session,
    SubscribeOptions, SubscriptionId,
};

pub(crate) const OTHER: &str = "conn-other";
pub(crate) const OWN: &str = "conn-own";
pub(crate) const OPUS: &[u8] = b"\x78some audio";
pub(crate) const STREAM: &str = "stream-other";

pub(crate) fn key(byte: u8) -> SessionKey {
    SessionKey::from_derived(&[byte; 64])
}

pub(crate) fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// One description for all: an offer or an answer with audio and video.
pub(crate) fn sdp(direction: &str) -> String {
    let line = |mid: &str, kind: &str, codec: &str| {
        format!(
            "m={kind} 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:{mid}\r\na={direction}\r\n\
             a=rtpmap:96 {codec}/90000\r\na=fingerprint:sha-256 AA:BB\r\na=setup:passive\r\n"
        )
    };
    format!(
        "v=0\r\n{}{}",
        line("a", "audio", "opus"),
        line("v", "video", "VP8")
    )
}

/// A session, and what left it so far.
pub(crate) struct Bed {
    pub(crate) session: Session,
    pub(crate) now: Duration,
    pub(crate) sent: Vec<(u64, ClientMessage)>,
    pub(crate) events: Vec<Event>,
    /// All but those.
    pub(crate) effects: Vec<Effect>,
}

impl Bed {
    pub(crate) fn new(secret: Option<u8>) -> Self {
        let credentials = Credentials {
            api_key: "key".into(),
            session_id: "session".into(),
            token: "token".into(),
        };
        let info = ClientInfo {
            name: "test".into(),
            version: "1".into(),
            codecs: Vec::new(),
        };
        let mut bed = Self {
            session: Session::new(credentials, info, 0),
            now: Duration::ZERO,
            sent: Vec::new(),
            events: Vec::new(),
            effects: Vec::new(),
        };
        if let Some(byte) = secret {
            bed.session.set_key(key(byte), false, bed.now).unwrap();
        }
        bed.session.connect(bed.now).unwrap();
        bed.drain();
        bed
    }

    /// Welcomed to an encrypted session under this secret, with another member that publishes.
    pub(crate) fn keyed(secret: u8) -> Self {
        let mut bed = Self::new(Some(secret));
        bed.open();
        bed.welcome(&welcome(true));
        bed
    }

    pub(crate) fn clear() -> Self {
        let mut bed = Self::new(None);
        bed.open();
        bed.welcome(&welcome(false));
        bed
    }

    pub(crate) fn open(&mut self) {
        self.session.on_socket_open(self.now);
        self.drain();
    }

    pub(crate) fn hello(&self) -> &Hello {
        let is_hello = |message: &ClientMessage| matches!(message, ClientMessage::Hello(_));
        let found = self
            .sent
            .iter()
            .rev()
            .find(|(_, message)| is_hello(message));
        match found {
            Some((_, ClientMessage::Hello(hello))) => hello,
            _ => panic!("no hello"),
        }
    }

    pub(crate) fn welcome(&mut self, welcome: &Welcome) {
        let mut welcome = welcome.clone();
        welcome.re = self.number("hello");
        self.say(ServerMessage::Welcome(welcome));
    }

    pub(crate) fn say(&mut self, message: ServerMessage) {
        self.session.received += 1;
        self.session.recovery.on_message(self.now);
        self.session.on_message(message, self.now);
        self.drain();
    }

    pub(crate) fn at(&mut self, at_ms: u64) {
        let until = ms(at_ms);
        while let Some(deadline) = self.session.deadline().filter(|end| *end <= until) {
            self.now = deadline.max(self.now);
            self.session.poll(self.now);
            self.drain();
        }
        self.now = until;
        self.session.poll(until);
        self.drain();
    }

    /// Every ping is answered on the way.
    pub(crate) fn keep_alive_until(&mut self, end_ms: u64) {
        let begin = self.now.as_millis() as u64;
        for at in (begin..=end_ms).step_by(1_000).chain([end_ms]) {
            self.at(at);
            let pings = self
                .sent
                .extract_if(.., |(_, message)| message.kind() == "ping");
            for (re, _) in pings.collect::<Vec<_>>() {
                self.say(ServerMessage::Pong(Pong { re }));
            }
        }
    }

    pub(crate) fn drain(&mut self) {
        while let Some(effect) = self.session.next_effect() {
            match effect {
                Effect::Send(request) => {
                    self.sent
                        .push((number_of(&request), request.message().clone()));
                }
                Effect::Tell(event) => self.events.push(event),
                other => self.effects.push(other),
            }
        }
    }

    /// Of the last request of a kind.
    pub(crate) fn number(&self, kind: &str) -> u64 {
        let found = self
            .sent
            .iter()
            .rev()
            .find(|(_, message)| message.kind() == kind);
        found.map(|(number, _)| *number).unwrap()
    }

    pub(crate) fn kinds(&mut self) -> Vec<&'static str> {
        self.sent
            .drain(..)
            .map(|(_, message)| message.kind())
            .collect()
    }

    pub(crate) fn names(&mut self) -> Vec<&'static str> {
        self.events.drain(..).map(|event| event.name()).collect()
    }

    /// The codes of all errors that were told.
    pub(crate) fn codes(&mut self) -> Vec<String> {
        let errors = self.events.drain(..).filter_map(|event| match event {
            Event::Error(error)
            | Event::Failed(error)
            | Event::PublicationError { error, .. }
            | Event::SubscriptionError { error, .. } => Some(error.code().to_owned()),
            _ => None,
        });
        errors.collect()
    }

    pub(crate) fn publish_request(&self) -> Publish {
        let found = self
            .sent
            .iter()
            .rev()
            .find_map(|(_, message)| match message {
                ClientMessage::Publish(publish) => Some(publish.clone()),
                _ => None,
            });
        found.unwrap()
    }

    pub(crate) fn begin_publishing(&mut self) -> PublicationId {
        let options = PublishOptions {
            audio: true,
            video: Some(Codec::Vp8),
            ..PublishOptions::default()
        };
        let id = self.session.publish(options, self.now).unwrap();
        self.offer(id);
        id
    }

    pub(crate) fn offer(&mut self, id: PublicationId) {
        let lines = vec![
            (Track::Audio, "a".to_owned()),
            (Track::Video, "v".to_owned()),
        ];
        let offer = Offer {
            sdp: sdp("sendonly"),
            lines,
        };
        self.session.on_offered(id, Ok(offer), self.now);
        self.drain();
    }

    pub(crate) fn published(&mut self, stream_id: &str, answer: String) {
        let re = self.number("publish");
        let tracks = Vec::new();
        let stream_id = stream_id.into();
        self.say(ServerMessage::Published(Published {
            re,
            stream_id,
            answer,
            tracks,
        }));
    }

    pub(crate) fn publish(&mut self) -> PublicationId {
        let id = self.begin_publishing();
        self.published("stream-own", sdp("recvonly"));
        self.session.on_answer_applied(id, true, self.now);
        self.drain();
        id
    }

    pub(crate) fn subscribe(&mut self) -> SubscriptionId {
        let options = SubscribeOptions::default();
        let id = self.session.subscribe(STREAM, options, self.now).unwrap();
        self.drain();
        let re = self.number("subscribe");
        self.say(ServerMessage::Subscribed(Subscribed {
            re,
            subscriber_id: "sub".into(),
            stream_id: STREAM.into(),
        }));
        self.say(ServerMessage::DownlinkOffer(downlink_offer(1)));
        self.session.on_answered(1, Some("answer".into()), self.now);
        self.drain();
        id
    }
}

fn number_of(request: &crate::Request) -> u64 {
    // The last member: `id`, in the shortest form.
    let bytes = request.bytes();
    let at = bytes
        .windows(3)
        .rposition(|part| part == b"\xa2id")
        .unwrap()
        + 3;
    match bytes[at] {
        small @ 0..=0x7f => small.into(),
        0xcc => bytes[at + 1].into(),
        _ => u16::from_be_bytes([bytes[at + 1], bytes[at + 2]]).into(),
    }
}

pub(crate) fn downlink_offer(offer_id: u64) -> DownlinkOffer {
    let track = |mid: &str, kind: TrackKind| DownlinkTrack {
        mid: mid.into(),
        kind,
        codec: match kind {
            TrackKind::Audio => sealroute_protocol::messages::CodecName::Opus,
            TrackKind::Video => sealroute_protocol::messages::CodecName::Vp8,
        },
        subscriber_id: "sub".into(),
        stream_id: STREAM.into(),
    };
    DownlinkOffer {
        offer_id,
        sdp: sdp("sendonly"),
        tracks: vec![track("a", TrackKind::Audio), track("v", TrackKind::Video)],
    }
}

pub(crate) fn stream(stream_id: &str, connection_id: &str) -> StreamInfo {
    StreamInfo {
        stream_id: stream_id.into(),
        connection_id: connection_id.into(),
        ..StreamInfo::default()
    }
}

pub(crate) fn member(connection_id: &str) -> ConnectionInfo {
    ConnectionInfo {
        connection_id: connection_id.into(),
        ..ConnectionInfo::default()
    }
}

pub(crate) fn welcome(e2ee: bool) -> Welcome {
    Welcome {
        re: 0,
        connection: member(OWN),
        session: SessionInfo {
            session_id: "session".into(),
            e2ee: Some(Said::Flag(e2ee)),
            media_mode: Some(Said::Text("routed".into())),
        },
        capabilities: Capabilities::default(),
        connections: vec![member(OTHER)],
        streams: vec![stream(STREAM, OTHER)],
        resume: "resume-1".into(),
        resumed: false,
        keep_alive_ms: 10_000,
        grace_ms: 15_000,
        ice_servers: None,
        hints: Some(BTreeMap::new()),
        mute_forced: None,
        last_request: None,
    }
}

pub(crate) fn encrypted_by_other(secret: u8, count: usize) -> Vec<Vec<u8>> {
    let key = key(secret);
    let mut publication = Publication::new(OTHER, STREAM).unwrap();
    let mut encryptor = publication.encryptor(&key).unwrap();
    (0..count)
        .map(|_| encryptor.encrypt(Codec::Opus, OPUS).unwrap())
        .collect()
}

pub(crate) fn hint(secret: u8) -> u64 {
    let KeyPart(hint) = key(secret).hint();
    hint.into()
}

pub(crate) fn announced(secret: u8) -> ServerMessage {
    let hint = hint(secret);
    ServerMessage::HintAnnounced(HintAnnounced {
        connection_id: OTHER.into(),
        hint,
    })
}
