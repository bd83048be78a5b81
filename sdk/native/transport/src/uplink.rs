//! What this client sends: offers, and packets of frames that the session let out.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Instant;

use sealroute_e2ee::{Codec, Track};
use sealroute_media::Packet;
use str0m::Event;
use str0m::change::{SdpAnswer, SdpPendingOffer};
use str0m::media::{Direction, MediaKind, Mid, Pt};
use str0m::rtp::{ExtensionValues, RtpWrite};

use crate::link::{Datagram, Link, LinkEvent};
use crate::{TransportError, sdp};

/// An offer with the m-lines that were added for one publication.
#[derive(Clone, PartialEq, Eq)]
pub struct Offered {
    /// The description.
    pub sdp: String,
    /// The new m-lines.
    pub lines: Vec<(Track, String)>,
}

#[derive(Debug)]
struct Sender {
    codec: Codec,
    /// Of the next packet, with its rollovers.
    sequence: u64,
}

/// The peer connection that offers.
pub struct Uplink {
    link: Link,
    pending: Option<SdpPendingOffer>,
    /// The m-lines of that offer.
    offered: Vec<String>,
    senders: HashMap<String, Sender>,
    retired: Vec<Mid>,
}

impl Uplink {
    /// `local`: what its socket is bound to.
    pub fn new(local: SocketAddr, now: Instant) -> Result<Self, TransportError> {
        Ok(Self {
            link: Link::new(local, now)?,
            pending: None,
            offered: Vec::new(),
            senders: HashMap::new(),
            retired: Vec::new(),
        })
    }

    /// Adds m-lines. The offer before, if it was not answered, counts no more. `sequence`: any
    /// number, where sequence numbers begin.
    pub fn offer(
        &mut self,
        audio: bool,
        video: Option<Codec>,
        sequence: u16,
    ) -> Result<Offered, TransportError> {
        self.drop_offer();
        let mut api = self.link.rtc.sdp_api();
        for mid in &self.retired {
            api.set_direction(*mid, Direction::Inactive);
        }
        let wanted = [
            audio.then_some((Track::Audio, MediaKind::Audio, Codec::Opus)),
            video.map(|codec| (Track::Video, MediaKind::Video, codec)),
        ];
        let mut lines = Vec::new();
        for (track, kind, codec) in wanted.into_iter().flatten() {
            let mid = api
                .add_media(kind, Direction::SendOnly, None, None, None)
                .to_string();
            // Below half of the range: rollovers are counted from the first one.
            let sequence = u64::from(sequence & 0x7FFF);
            self.senders.insert(mid.clone(), Sender { codec, sequence });
            lines.push((track, mid));
        }
        let (offer, pending) = api.apply().ok_or(TransportError::Description)?;
        self.pending = Some(pending);
        self.offered = lines.iter().map(|(_, mid)| mid.clone()).collect();
        self.link.settle();
        let codecs: Vec<(String, Codec)> = self
            .senders
            .iter()
            .map(|(mid, sender)| (mid.clone(), sender.codec))
            .collect();
        let sdp = sdp::with_codecs(&offer.to_sdp_string(), &codecs);
        Ok(Offered { sdp, lines })
    }

    /// The server's answer. After an error the link is of no use any more.
    pub fn apply(&mut self, answer: &str) -> Result<(), TransportError> {
        sdp::check_mids(answer)?;
        let answer = SdpAnswer::from_sdp_string(answer).map_err(|_| TransportError::Description)?;
        let pending = self.pending.take().ok_or(TransportError::NoOffer)?;
        let applied = self.link.rtc.sdp_api().accept_answer(pending, answer);
        self.link.settle();
        applied.map_err(|_| TransportError::Description)
    }

    /// The last offer came to nothing.
    pub fn drop_offer(&mut self) {
        if self.pending.take().is_some() {
            for mid in std::mem::take(&mut self.offered) {
                self.senders.remove(&mid);
            }
        }
    }

    /// These m-lines send no more; the next offer says so.
    pub fn retire(&mut self, lines: &[String]) {
        for mid in lines {
            self.senders.remove(mid);
            let mid = Mid::from(mid.as_str());
            if self.link.rtc.media(mid).is_some() {
                self.retired.push(mid);
            }
        }
    }

    /// Packets of one frame, with its time on the clock of its kind (48 or 90 kHz).
    pub fn send(
        &mut self,
        mid: &str,
        packets: &[Packet],
        timestamp: u32,
        now: Instant,
    ) -> Result<(), TransportError> {
        let line = Mid::from(mid);
        let sender = self.senders.get_mut(mid).ok_or(TransportError::NoLine)?;
        let payload_type =
            payload_type(&self.link, line, sender.codec).ok_or(TransportError::Codec)?;
        if packets.iter().any(|packet| packet.codec() != sender.codec) {
            return Err(TransportError::Codec);
        }
        for packet in packets {
            let is_video = sender.codec != Codec::Opus;
            let payload = packet.payload().to_vec();
            let write = RtpWrite::new(
                payload_type,
                sender.sequence.into(),
                timestamp,
                now,
                payload,
            )
            .marker(packet.is_last_of_frame())
            .nackable(is_video)
            .ext_vals(extensions(is_video));
            let mut api = self.link.rtc.direct_api();
            let stream = api
                .stream_tx_by_mid(line, None)
                .ok_or(TransportError::NoLine)?;
            stream.write_rtp(write);
            sender.sequence += 1;
            self.link.settle();
        }
        // What was written waits for the next moment of the transport.
        self.link.on_time(now);
        Ok(())
    }

    /// M-lines whose receivers asked for a key frame.
    pub fn next_key_frame_request(&mut self) -> Option<String> {
        while let Some(event) = self.link.media.pop_front() {
            if let Event::KeyframeRequest(request) = event {
                return Some(request.mid.to_string());
            }
        }
        None
    }

    /// Media can flow.
    pub fn is_connected(&self) -> bool {
        self.link.is_connected()
    }

    /// A datagram came to its socket.
    pub fn on_datagram(&mut self, source: SocketAddr, contents: &[u8], now: Instant) {
        self.link.on_datagram(source, contents, now);
    }

    /// To be called when [`Self::deadline`] is over.
    pub fn on_time(&mut self, now: Instant) {
        self.link.on_time(now);
    }

    /// When it has something to do, if nothing comes.
    pub fn deadline(&self) -> Option<Instant> {
        self.link.deadline()
    }

    /// To be sent.
    pub fn next_datagram(&mut self) -> Option<Datagram> {
        self.link.next_datagram()
    }

    /// What happened to it.
    pub fn next_event(&mut self) -> Option<LinkEvent> {
        self.link.next_event()
    }
}

/// A level that is not silence: of what is encrypted the server knows nothing else, and who speaks
/// is the application's to say.
fn extensions(is_video: bool) -> ExtensionValues {
    let mut values = ExtensionValues::default();
    if !is_video {
        values.audio_level = Some(-30);
        values.voice_activity = Some(true);
    }
    values
}

fn payload_type(link: &Link, mid: Mid, codec: Codec) -> Option<Pt> {
    let media = link.rtc.media(mid)?;
    let is_codec = |payload_type: &&Pt| {
        let known = link
            .rtc
            .codec_config()
            .find(|params| params.pt() == **payload_type);
        known.and_then(|params| own_codec(params.spec().codec)) == Some(codec)
    };
    media.remote_pts().iter().find(is_codec).copied()
}

/// None for what has no form in e2ee/2.
pub(crate) fn own_codec(codec: str0m::format::Codec) -> Option<Codec> {
    use str0m::format::Codec as Theirs;
    match codec {
        Theirs::Opus => Some(Codec::Opus),
        Theirs::Vp8 => Some(Codec::Vp8),
        Theirs::Vp9 => Some(Codec::Vp9),
        Theirs::H264 => Some(Codec::H264),
        Theirs::Av1 => Some(Codec::Av1),
        _ => None,
    }
}
