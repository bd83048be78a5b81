//! One own stream: its m-lines, and what each of them encrypts with.

use std::time::Duration;

use sealroute_e2ee::{
    ChosenKeyId, Codec, Encryptor, KeyPart, OldKeyIds, Publication as KeyedPublication,
    SendingError, SessionKey, Track as Kind, UnnamedPublication,
};

use crate::StreamTrust;

/// What an application publishes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PublishOptions {
    /// For the others.
    pub name: Option<String>,
    /// With audio.
    pub audio: bool,
    /// With video of this codec.
    pub video: Option<Codec>,
    /// Width and height of the video.
    pub dimensions: Option<(u32, u32)>,
    /// Frames a second.
    pub frame_rate: Option<f64>,
}

/// Why a frame was not sent. All but `Failed` pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NotSent {
    /// There is no such publication, or it has no such track.
    Unknown,
    /// The stream is not published yet, or not again yet.
    Waiting,
    /// The application or a moderator muted it.
    Muted,
    /// Nobody watches.
    Unwanted,
    /// It is none of its codec.
    Malformed,
    /// Another codec than was published.
    Codec,
    /// Nothing can be encrypted: the application was told.
    Failed,
}

#[derive(Debug)]
pub(crate) struct OwnTrack {
    pub(crate) kind: Kind,
    pub(crate) mid: String,
    pub(crate) is_muted: bool,
    pub(crate) is_wanted: bool,
    encryptor: Option<Encryptor>,
    chosen: Option<ChosenKeyId>,
    old: OldKeyIds,
}

impl OwnTrack {
    fn new(kind: Kind, mid: String, is_muted: bool) -> Self {
        Self {
            kind,
            mid,
            is_muted,
            is_wanted: true,
            encryptor: None,
            chosen: None,
            old: OldKeyIds::default(),
        }
    }

    /// What the server has to let through.
    pub(crate) fn declared(&self) -> Vec<Vec<u8>> {
        let present = self.encryptor.as_ref().map(Encryptor::key_id);
        let next = self.chosen.as_ref().map(ChosenKeyId::key_id);
        let all = self.old.declared().chain(present).chain(next);
        all.map(|key_id| key_id.to_bytes().to_vec()).collect()
    }

    pub(crate) fn has_encryptor(&self) -> bool {
        self.encryptor.is_some()
    }

    /// Chooses the key id of the sender to come, unless that was done.
    fn choose(&mut self, keys: &mut Keys, hint: KeyPart) -> Result<(), SendingError> {
        let is_chosen = self
            .chosen
            .as_ref()
            .is_some_and(|id| id.key_id().key() == hint);
        if !is_chosen {
            self.chosen = Some(keys.choose(hint)?);
        }
        Ok(())
    }

    /// One swap between two frames. After an error nothing is encrypted any more.
    fn renew(
        &mut self,
        keys: &mut Keys,
        key: &SessionKey,
        immediate: bool,
        now: Duration,
    ) -> Result<(), SendingError> {
        let before = self.encryptor.take();
        self.choose(keys, key.hint())?;
        let (Some(chosen), Keys::Named(named)) = (self.chosen.take(), keys) else {
            return Err(SendingError::OtherKeyId);
        };
        self.encryptor = Some(named.encryptor_under(chosen, key)?);
        if let Some(before) = before {
            self.old.on_replaced(before.key_id(), immediate, now);
        }
        Ok(())
    }
}

/// Key ids are chosen before the server has named the stream, and used after.
#[derive(Debug)]
pub(crate) enum Keys {
    /// A clear session.
    None,
    Unnamed(UnnamedPublication),
    Named(KeyedPublication),
}

impl Keys {
    fn choose(&mut self, hint: KeyPart) -> Result<ChosenKeyId, SendingError> {
        match self {
            Self::None => Err(SendingError::OtherKeyId),
            Self::Unnamed(keys) => keys.choose(hint),
            Self::Named(keys) => keys.choose(hint),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Own {
    pub(crate) options: PublishOptions,
    /// Empty while the server has not named it.
    pub(crate) stream_id: String,
    /// It is in use: what is encrypted may leave.
    pub(crate) is_live: bool,
    pub(crate) offer: String,
    pub(crate) tracks: Vec<OwnTrack>,
    pub(crate) trust: StreamTrust,
    pub(crate) told: Option<crate::StreamState>,
    keys: Keys,
    muted: Vec<Kind>,
}

impl Own {
    pub(crate) fn new(options: PublishOptions) -> Self {
        Self {
            options,
            stream_id: String::new(),
            is_live: false,
            offer: String::new(),
            tracks: Vec::new(),
            trust: StreamTrust::default(),
            told: None,
            keys: Keys::None,
            muted: Vec::new(),
        }
    }

    pub(crate) fn has(&self, kind: Kind) -> bool {
        match kind {
            Kind::Audio => self.options.audio,
            Kind::Video => self.options.video.is_some(),
        }
    }

    pub(crate) fn is_sending(&self, kind: Kind) -> bool {
        self.has(kind) && !self.muted.contains(&kind)
    }

    pub(crate) fn mids(&self) -> Vec<String> {
        self.tracks.iter().map(|track| track.mid.clone()).collect()
    }

    pub(crate) fn track(&mut self, kind: Kind) -> Option<&mut OwnTrack> {
        self.tracks.iter_mut().find(|track| track.kind == kind)
    }

    pub(crate) fn mute(&mut self, kind: Kind, is_muted: bool) {
        self.muted.retain(|muted| *muted != kind);
        if is_muted {
            self.muted.push(kind);
        }
        if let Some(track) = self.track(kind) {
            track.is_muted = is_muted;
        }
    }

    /// The uplink has m-lines for it. Without a key the session is clear.
    pub(crate) fn begin(
        &mut self,
        offer: String,
        lines: Vec<(Kind, String)>,
        key: Option<&SessionKey>,
    ) -> Result<(), SendingError> {
        self.offer = offer;
        let is_muted = |kind: Kind| self.muted.contains(&kind);
        let tracks = lines.into_iter();
        self.tracks = tracks
            .map(|(kind, mid)| OwnTrack::new(kind, mid, is_muted(kind)))
            .collect();
        self.trust = StreamTrust::default();
        self.keys = Keys::None;
        if let Some(key) = key {
            self.keys = Keys::Unnamed(UnnamedPublication::new()?);
            for track in &mut self.tracks {
                track.choose(&mut self.keys, key.hint())?;
            }
        }
        Ok(())
    }

    /// The server named the stream, and with it its keys. The secret may have changed since its
    /// key ids were chosen: those are left then. True if others have to be declared.
    pub(crate) fn activate(
        &mut self,
        connection_id: &str,
        key: Option<&SessionKey>,
        now: Duration,
    ) -> Result<bool, SendingError> {
        let mut is_other = false;
        if let Some(key) = key {
            let Keys::Unnamed(unnamed) = std::mem::replace(&mut self.keys, Keys::None) else {
                return Err(SendingError::OtherKeyId);
            };
            self.keys = Keys::Named(unnamed.named(connection_id, &self.stream_id));
            for track in &mut self.tracks {
                let chosen = track.chosen.as_ref();
                is_other |= chosen.is_none_or(|id| id.key_id().key() != key.hint());
                track.renew(&mut self.keys, key, false, now)?;
            }
        }
        self.is_live = true;
        Ok(is_other)
    }

    /// All its senders use this key from their next frame on. What cannot stops.
    pub(crate) fn renew(
        &mut self,
        key: &SessionKey,
        immediate: bool,
        now: Duration,
    ) -> Result<(), SendingError> {
        let mut result = Ok(());
        for track in &mut self.tracks {
            result = track.renew(&mut self.keys, key, immediate, now).and(result);
        }
        result
    }

    /// Chooses the key ids of the senders to come, beside those in use.
    pub(crate) fn prepare(&mut self, hint: KeyPart) -> Result<(), SendingError> {
        for track in &mut self.tracks {
            track.choose(&mut self.keys, hint)?;
        }
        Ok(())
    }

    /// It has no stream any more, and may get another.
    pub(crate) fn stop(&mut self) -> Vec<String> {
        self.is_live = false;
        self.keys = Keys::None;
        let tracks = std::mem::take(&mut self.tracks);
        tracks.into_iter().map(|track| track.mid).collect()
    }

    /// M-lines whose old key ids end.
    pub(crate) fn expire(&mut self, now: Duration) -> bool {
        let mut is_due = false;
        for track in &mut self.tracks {
            is_due |= track.old.expire(now);
        }
        is_due
    }

    pub(crate) fn deadline(&self) -> Option<Duration> {
        let old = self.tracks.iter().filter_map(|track| track.old.next_end());
        let guarded = self.trust.deadline();
        // Of a guard that is silent already nothing is to come.
        let guarded = guarded.filter(|_| self.told == Some(crate::StreamState::Failing));
        old.chain(guarded).min()
    }

    /// `is_clear`: the session is, as the trust says.
    pub(crate) fn wire(
        &mut self,
        kind: Kind,
        codec: Codec,
        frame: &[u8],
        is_clear: bool,
    ) -> Result<Vec<u8>, NoWire> {
        if !self.is_live {
            return Err(NoWire::Not(NotSent::Waiting));
        }
        let expected = match kind {
            Kind::Audio => self.options.audio.then_some(Codec::Opus),
            Kind::Video => self.options.video,
        };
        if expected != Some(codec) {
            return Err(NoWire::Not(NotSent::Codec));
        }
        let track = self.track(kind).ok_or(NoWire::Not(NotSent::Unknown))?;
        if track.is_muted {
            return Err(NoWire::Not(NotSent::Muted));
        }
        if !track.is_wanted {
            return Err(NoWire::Not(NotSent::Unwanted));
        }
        if is_clear {
            let is_empty = frame.is_empty();
            return (!is_empty)
                .then(|| frame.to_vec())
                .ok_or(NoWire::Not(NotSent::Malformed));
        }
        let encryptor = track
            .encryptor
            .as_mut()
            .ok_or(NoWire::Not(NotSent::Failed))?;
        let wire = encryptor
            .encrypt(codec, frame)
            .map_err(|error| match error {
                SendingError::Frame(_) => NoWire::Not(NotSent::Malformed),
                error => NoWire::Error(error),
            })?;
        self.trust.on_frame();
        Ok(wire)
    }
}

/// What came of a frame that did not leave.
#[derive(Debug)]
pub(crate) enum NoWire {
    Not(NotSent),
    /// The counter ended, or worse.
    Error(SendingError),
}
