//! What this client receives: answers, and the packets of the others' frames. It has no way to send
//! media.

use std::net::SocketAddr;
use std::time::Instant;

use sealroute_e2ee::Codec;
use sealroute_media::Piece;
use str0m::Event;
use str0m::change::SdpOffer;
use str0m::media::{KeyframeRequestKind, Mid};
use str0m::rtp::RtpPacket;

use crate::link::{Datagram, Link, LinkEvent};
use crate::uplink::own_codec;
use crate::{TransportError, sdp};

/// A packet of somebody's frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrived {
    /// The m-line that it came over.
    pub mid: String,
    /// As its payload type says.
    pub codec: Codec,
    /// For the assembler of that m-line.
    pub piece: Piece,
}

/// The peer connection that answers.
pub struct Downlink {
    link: Link,
}

impl Downlink {
    /// `local`: what its socket is bound to.
    pub fn new(local: SocketAddr, now: Instant) -> Result<Self, TransportError> {
        Link::new(local, now).map(|link| Self { link })
    }

    /// The answer to an offer of the server. After an error the link is of no use any more.
    pub fn answer(&mut self, offer: &str) -> Result<String, TransportError> {
        sdp::check_mids(offer)?;
        let offer = SdpOffer::from_sdp_string(&sdp::with_passive_server(offer))
            .map_err(|_| TransportError::Description)?;
        let answer = self.link.rtc.sdp_api().accept_offer(offer);
        self.link.settle();
        let answer = answer.map_err(|_| TransportError::Description)?;
        Ok(answer.to_sdp_string())
    }

    /// Packets of streams, in the order in which they came.
    pub fn next_packet(&mut self) -> Option<Arrived> {
        while let Some(event) = self.link.media.pop_front() {
            if let Event::RtpPacket(packet) = event
                && let Some(arrived) = self.arrived(&packet)
            {
                return Some(arrived);
            }
        }
        None
    }

    fn arrived(&mut self, packet: &RtpPacket) -> Option<Arrived> {
        let header = &packet.header;
        let config = self.link.rtc.codec_config();
        let params = config.find(|params| params.pt() == header.payload_type)?;
        let codec = own_codec(params.spec().codec)?;
        let mut api = self.link.rtc.direct_api();
        let mid = api.stream_rx(&header.ssrc)?.mid();
        Some(Arrived {
            mid: mid.to_string(),
            codec,
            piece: Piece {
                sequence: *packet.seq_no,
                timestamp: header.timestamp,
                marker: header.marker,
                payload: packet.payload.to_vec(),
            },
        })
    }

    /// Asks the sender of what comes over a video m-line for a key frame.
    pub fn request_key_frame(&mut self, mid: &str) {
        let mut api = self.link.rtc.direct_api();
        if let Some(stream) = api.stream_rx_by_mid(Mid::from(mid), None) {
            stream.request_keyframe(KeyframeRequestKind::Pli);
        }
        self.link.settle();
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
