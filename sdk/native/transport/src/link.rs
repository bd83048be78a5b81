//! One peer connection. After every change all that follows from it is taken out: str0m's one rule,
//! which this type alone has to keep.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

use str0m::net::{Protocol, Receive};
use str0m::{Candidate, Event, IceConnectionState, Input, Output, Rtc};

use crate::TransportError;

/// To be sent from the link's socket.
#[derive(Clone, PartialEq, Eq)]
pub struct Datagram {
    /// Where to.
    pub destination: SocketAddr,
    /// What.
    pub contents: Vec<u8>,
}

/// What happened to the link itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkEvent {
    /// ICE and DTLS are done: media can flow.
    Connected,
    /// The network does not answer, for now.
    Interrupted,
    /// It is over, or broken.
    Closed,
}

pub(crate) struct Link {
    pub(crate) rtc: Rtc,
    local: SocketAddr,
    timeout: Instant,
    outgoing: VecDeque<Datagram>,
    events: VecDeque<LinkEvent>,
    pub(crate) media: VecDeque<Event>,
    is_connected: bool,
}

impl Link {
    /// `local`: the address that the socket is bound to, on which the server reaches it.
    pub(crate) fn new(local: SocketAddr, now: Instant) -> Result<Self, TransportError> {
        let mut rtc = Rtc::builder()
            .clear_codecs()
            .enable_opus(true, false)
            .enable_vp8(true)
            .enable_vp9(true)
            .enable_h264(true)
            .enable_av1(true)
            .set_rtp_mode(true)
            .build(now);
        let candidate = Candidate::host(local, "udp").map_err(|_| TransportError::Address)?;
        rtc.add_local_candidate(candidate);
        let mut link = Self {
            rtc,
            local,
            timeout: now,
            outgoing: VecDeque::new(),
            events: VecDeque::new(),
            media: VecDeque::new(),
            is_connected: false,
        };
        link.settle();
        Ok(link)
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.is_connected
    }

    /// Takes out what follows from a change.
    pub(crate) fn settle(&mut self) {
        loop {
            match self.rtc.poll_output() {
                Ok(Output::Timeout(at)) => {
                    self.timeout = at;
                    return;
                }
                Ok(Output::Transmit(transmit)) => self.outgoing.push_back(Datagram {
                    destination: transmit.destination,
                    contents: transmit.contents.to_vec(),
                }),
                Ok(Output::Event(event)) => self.take(event),
                Err(_) => {
                    self.break_off();
                    return;
                }
            }
        }
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Connected => {
                self.is_connected = true;
                self.events.push_back(LinkEvent::Connected);
            }
            Event::IceConnectionStateChange(IceConnectionState::Disconnected) => {
                self.events.push_back(LinkEvent::Interrupted);
            }
            Event::Closed => self.break_off(),
            Event::RtpPacket(_) | Event::KeyframeRequest(_) => self.media.push_back(event),
            _ => {}
        }
    }

    pub(crate) fn break_off(&mut self) {
        self.rtc.disconnect();
        self.is_connected = false;
        self.events.push_back(LinkEvent::Closed);
    }

    pub(crate) fn on_datagram(&mut self, source: SocketAddr, contents: &[u8], now: Instant) {
        let Ok(received) = Receive::new(Protocol::Udp, source, self.local, contents) else {
            // None of the protocols that share the port.
            return;
        };
        if self
            .rtc
            .handle_input(Input::Receive(now, received))
            .is_err()
        {
            self.break_off();
        }
        self.settle();
    }

    pub(crate) fn on_time(&mut self, now: Instant) {
        if now < self.timeout || !self.rtc.is_alive() {
            return;
        }
        if self.rtc.handle_input(Input::Timeout(now)).is_err() {
            self.break_off();
        }
        self.settle();
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.rtc.is_alive().then_some(self.timeout)
    }

    pub(crate) fn next_datagram(&mut self) -> Option<Datagram> {
        self.outgoing.pop_front()
    }

    pub(crate) fn next_event(&mut self) -> Option<LinkEvent> {
        self.events.pop_front()
    }
}
