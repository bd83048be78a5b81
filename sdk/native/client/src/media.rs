//! Frames out and in.

use std::time::Instant;

use sealroute_e2ee::{Codec, Track};
use sealroute_session::PublicationId;
use sealroute_transport::Arrived;

use crate::assembly::Assembly;
use crate::network::Network;
use crate::traits::MediaFrame;

impl Network {
    /// Dropped without a word where the session or the link does not let it out.
    pub(crate) fn send_frame(&mut self, publication: PublicationId, frame: &MediaFrame) {
        let now = self.now();
        let Some(link) = &mut self.uplink else {
            return;
        };
        if !link.transport.is_connected() {
            // What is encrypted counts as sent.
            return;
        }
        let Ok(wire) = self
            .session
            .wire(publication, frame.codec, &frame.data, now)
        else {
            return;
        };
        let track = match frame.codec {
            Codec::Opus => Track::Audio,
            _ => Track::Video,
        };
        let Some(own) = self.own.get_mut(&publication) else {
            return;
        };
        let Some((_, mid)) = own.lines.iter().find(|(of, _)| *of == track) else {
            return;
        };
        let packetizer = own.packetizers.entry(mid.clone()).or_default();
        let packets = packetizer.packetize(&wire, frame.is_key_frame);
        let _ = link
            .transport
            .send(mid, &packets, frame.timestamp, Instant::now());
        link.flush();
    }

    /// What the downlink has, to their m-lines, and what follows from it.
    pub(crate) fn assemble(&mut self) {
        while let Some(arrived) = self
            .downlink
            .as_mut()
            .and_then(|link| link.transport.next_packet())
        {
            let Arrived { mid, codec, piece } = arrived;
            let Some((_, assembly)) = self.assemblies.get_mut(&mid) else {
                continue;
            };
            // A sender may change its codec.
            let assembly = match assembly {
                Some(present) if present.codec() == codec => present,
                other => other.insert(Assembly::new(codec)),
            };
            assembly.push(piece);
            self.play(&mid);
        }
    }

    /// Gaps whose time is over.
    pub(crate) fn assemble_late(&mut self) {
        let now = self.now();
        let is_due = |assembly: &Assembly| assembly.deadline().is_some_and(|at| at <= now);
        let due = self
            .assemblies
            .iter()
            .filter(|(_, (_, assembly))| assembly.as_ref().is_some_and(is_due));
        for mid in due.map(|(mid, _)| mid.clone()).collect::<Vec<_>>() {
            self.play(&mid);
        }
    }

    fn play(&mut self, mid: &str) {
        let now = self.now();
        loop {
            let Some((_, Some(assembly))) = self.assemblies.get_mut(mid) else {
                return;
            };
            let Some(frame) = assembly.next_frame(now) else {
                break;
            };
            let codec = assembly.codec();
            let opened = self.session.on_frame(mid, codec, &frame.bytes, now);
            // What the session wants after a frame may change whose the m-line is.
            let Some((_, Some(assembly))) = self.assemblies.get_mut(mid) else {
                return;
            };
            let Some(opened) = opened else {
                assembly.lose();
                continue;
            };
            if !assembly.lets_through(frame.is_key_frame || codec == Codec::Opus) {
                continue;
            }
            let passed = MediaFrame {
                codec,
                is_key_frame: frame.is_key_frame || codec == Codec::Opus,
                timestamp: frame.timestamp,
                data: opened.frame,
            };
            if !self.callbacks.frame(opened.subscription, passed) {
                assembly.lose();
            }
        }
        self.ask_if_stuck(mid);
        self.do_effects();
    }

    fn ask_if_stuck(&mut self, mid: &str) {
        let now = self.now();
        let assembly = self
            .assemblies
            .get_mut(mid)
            .and_then(|(_, assembly)| assembly.as_mut());
        if assembly.is_some_and(|assembly| assembly.takes_key_frame_request(now)) {
            self.request_key_frame(mid);
        }
    }

    pub(crate) fn request_key_frame(&mut self, mid: &str) {
        if let Some(link) = &mut self.downlink {
            link.transport.request_key_frame(mid);
            link.flush();
        }
    }
}
