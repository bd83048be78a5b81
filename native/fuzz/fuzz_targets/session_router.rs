//! For any order of packets, reports and commands: a sequence number identifies one packet, and
//! nothing panics.
#![no_main]

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use sealroute_forward::{
    Codec, DownTrackParameters, EncodingParameters, Extension, ExtensionIds, ForwardEvent,
    ForwardSettings, Layer, MediaKind, Outbox, PayloadAccess, PreferredLayers, PublisherHandle,
    SessionRouter, SubscriberHandle, TransportHandle, UpTrackParameters,
};
use sealroute_rtp::{FullSequence, MAX_PACKET_BYTES, RtpHeader, RtpPacket, SequenceUnwrapper};
use std::collections::HashMap;
use std::time::{Duration, Instant};

#[derive(Arbitrary, Debug)]
enum Step {
    Raw {
        transport: u8,
        bytes: Vec<u8>,
    },
    Rtp {
        transport: u8,
        ssrc: u8,
        payload_type: u8,
        marker: bool,
        sequence: u16,
        timestamp: u32,
        rid: Option<u8>,
        body: Body,
    },
    Rtcp {
        transport: u8,
        bytes: Vec<u8>,
    },
    Nack {
        transport: u8,
        ssrc: u8,
        sequence: u16,
        mask: u16,
    },
    Publish {
        publisher: u8,
        transport: u8,
        codec: u8,
        layers: u8,
    },
    Unpublish {
        publisher: u8,
    },
    Subscribe {
        subscriber: u8,
        publisher: u8,
        transport: u8,
        ssrc: u8,
        rtx: Option<u8>,
    },
    Unsubscribe {
        subscriber: u8,
    },
    Forward {
        subscriber: u8,
        publisher: u8,
        forwarding: bool,
    },
    Prefer {
        subscriber: u8,
        width: Option<u16>,
    },
    Allocate {
        subscriber: u8,
        layer: Option<(u8, u8)>,
    },
    Close {
        transport: u8,
    },
    Declare {
        publisher: u8,
        known: bool,
    },
    Flush,
    Wait {
        milliseconds: u16,
    },
}

#[derive(Arbitrary, Debug)]
enum Body {
    Any(Vec<u8>),
    Encrypted {
        key_frame: bool,
        picture_id: u16,
        rest: u8,
    },
    Again {
        sequence: u16,
        rest: u8,
    },
}

const KID: [u8; 8] = [0x81; 8];

impl Body {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Any(bytes) => bytes[..bytes.len().min(1_200)].to_vec(),
            Self::Encrypted {
                key_frame,
                picture_id,
                rest,
            } => encrypted_payload(*key_frame, *picture_id, *rest),
            Self::Again { sequence, rest } => [
                &sequence.to_be_bytes(),
                encrypted_payload(true, *sequence, *rest).as_slice(),
            ]
            .concat(),
        }
    }
}

fn encrypted_payload(key_frame: bool, picture_id: u16, rest: u8) -> Vec<u8> {
    let [high, low] = (picture_id | 0x8000).to_be_bytes();
    // Three sizes, so that encodings differ in size.
    let key = [0x10, 2, 0, 0x9D, 1, 0x2A, 0x80, 1 + rest % 3, 0x68, 1];
    let clear: &[u8] = if key_frame { &key } else { &[0x11] };
    let descriptor = [0x90, 0xE0, high, low, low, rest & 0xC0 | 0x20];
    [&descriptor, clear, &[0xF0], &KID, &[rest; 12]].concat()
}

/// Checks that an SSRC and sequence number of a transport always identify the same bytes.
#[derive(Default)]
struct SequenceCheck {
    unwrappers: HashMap<(TransportHandle, u32), SequenceUnwrapper>,
    seen: HashMap<(TransportHandle, u32, FullSequence), Vec<u8>>,
}

impl Outbox for SequenceCheck {
    fn rtp(&mut self, transport: TransportHandle, header: &[u8], payload: &[u8]) {
        let bytes = [header, payload].concat();
        // A longer header may push a payload beyond the limit: the send slot refuses it.
        if bytes.len() > MAX_PACKET_BYTES {
            return;
        }
        let packet = RtpPacket::parse(&bytes).unwrap();
        let stream = (transport, packet.ssrc());
        let sequence = self
            .unwrappers
            .entry(stream)
            .or_default()
            .unwrap(packet.sequence());
        let before = self.seen.entry((transport, packet.ssrc(), sequence));
        let before = before.or_insert_with(|| bytes.clone());
        assert_eq!(*before, bytes, "one sequence number, two packets");
    }

    fn rtcp(&mut self, _: TransportHandle, compound: &[u8]) {
        assert!(compound.len().is_multiple_of(4));
    }

    fn event(&mut self, _: ForwardEvent) {}
}

fn transport(index: u8) -> TransportHandle {
    TransportHandle(u64::from(index % 4))
}

fn publisher(index: u8) -> PublisherHandle {
    PublisherHandle(u64::from(index % 3))
}

fn subscriber(index: u8) -> SubscriberHandle {
    SubscriberHandle(u64::from(index % 4))
}

fn ssrc(index: u8) -> u32 {
    u32::from(index % 12)
}

fn up_track(codec: u8, layers: u8) -> UpTrackParameters {
    let codecs = [Codec::Vp8, Codec::Opus, Codec::Vp9, Codec::H264, Codec::Av1];
    let codec = codecs[usize::from(codec) % codecs.len()];
    let encoding = |index: u8| EncodingParameters {
        rid: Some(char::from(b'a' + index).into()),
        ..EncodingParameters::default()
    };
    UpTrackParameters {
        mid: "0".into(),
        kind: if codec == Codec::Opus {
            MediaKind::Audio
        } else {
            MediaKind::Video
        },
        codec,
        payload_type: 96,
        rtx_payload_type: Some(97),
        clock_rate_hz: 90_000,
        encodings: match layers % 4 {
            0 => vec![EncodingParameters {
                ssrc: Some(1),
                rtx_ssrc: Some(2),
                rid: None,
            }],
            count => (0..count).map(encoding).collect(),
        },
        extensions: ExtensionIds(vec![
            (Extension::Mid, 1),
            (Extension::Rid, 2),
            (Extension::RepairedRid, 3),
        ]),
        nack: true,
        declared_kids: vec![KID],
    }
}

fn down_track(ssrc: u32, rtx_ssrc: Option<u32>) -> DownTrackParameters {
    DownTrackParameters {
        mid: "1".into(),
        up_track_mid: "0".into(),
        ssrc,
        rtx_ssrc,
        payload_type: 96,
        rtx_payload_type: rtx_ssrc.map(|_| 97),
        // A packet that would be sent twice has a different transport-wide sequence number.
        extensions: ExtensionIds(vec![(Extension::Mid, 4), (Extension::TransportCc, 5)]),
        nack: true,
    }
}

struct Session {
    router: SessionRouter,
    out: SequenceCheck,
    now: Instant,
}

impl Session {
    fn rtp(&mut self, to: u8, header: RtpHeader, rid: Option<u8>, body: &Body) {
        let mut out = [0; MAX_PACKET_BYTES];
        let name = [b'a' + rid.unwrap_or_default() % 3];
        let named: &[(u8, &[u8])] = &[(1, b"0"), (2, &name), (3, &name)];
        let elements = named
            .iter()
            .copied()
            .take(if rid.is_some() { 3 } else { 0 });
        let length = header.write(elements, &mut out);
        let packet = [&out[..length], &body.bytes()].concat();
        self.router.handle_rtp(self.now, transport(to), &packet);
    }

    fn rtcp(&mut self, from: u8, bytes: &[u8]) {
        self.router
            .handle_rtcp(self.now, transport(from), bytes, &mut self.out);
    }

    fn nack(&mut self, from: u8, ssrc: u32, sequence: u16, mask: u16) {
        let mut bytes = vec![0x81, 205, 0, 3, 0, 0, 0, 1];
        bytes.extend_from_slice(&ssrc.to_be_bytes());
        bytes.extend_from_slice(&sequence.to_be_bytes());
        bytes.extend_from_slice(&mask.to_be_bytes());
        self.rtcp(from, &bytes);
    }

    fn wait(&mut self, milliseconds: u16) {
        let end = self.now + Duration::from_millis(u64::from(milliseconds % 2_000));
        let mut rounds = 0;
        while let Some(due) = self.router.poll_timeout().filter(|&due| due <= end) {
            rounds += 1;
            assert!(rounds < 10_000, "time does not go on");
            self.now = self.now.max(due);
            self.router.handle_timeout(self.now, &mut self.out);
        }
        self.now = end;
    }

    fn close(&mut self, index: u8) {
        let _ = self.router.close_transport(transport(index));
        // The keys are discarded with the transport.
        self.out
            .unwrappers
            .retain(|(of, _), _| *of != transport(index));
        self.out
            .seen
            .retain(|(of, _, _), _| *of != transport(index));
    }

    /// Commands may be refused, which is a valid outcome.
    fn command(&mut self, step: &Step) {
        let (router, now) = (&mut self.router, self.now);
        let _ = match *step {
            Step::Publish {
                publisher: p,
                transport: t,
                codec,
                layers,
            } => router.publish(
                now,
                publisher(p),
                transport(t),
                vec![up_track(codec, layers)],
            ),
            Step::Unpublish { publisher: p } => router.unpublish(publisher(p)),
            Step::Subscribe {
                subscriber: s,
                publisher: p,
                transport: t,
                ssrc: of,
                rtx,
            } => {
                let down_tracks = [down_track(ssrc(of), rtx.map(ssrc))];
                router.subscribe(now, subscriber(s), publisher(p), transport(t), &down_tracks)
            }
            Step::Unsubscribe { subscriber: s } => router.unsubscribe(subscriber(s)),
            Step::Forward {
                subscriber: s,
                publisher: p,
                forwarding,
            } => router
                .set_up_track_forwarding(publisher(p), "0", forwarding)
                .and(router.set_down_track_forwarding(subscriber(s), MediaKind::Video, forwarding)),
            Step::Prefer {
                subscriber: s,
                width,
            } => {
                let preferred = PreferredLayers {
                    max_width_px: width.map(u32::from),
                    ..PreferredLayers::default()
                };
                router.set_preferred_layers(subscriber(s), preferred)
            }
            Step::Allocate {
                subscriber: s,
                layer,
            } => {
                let layer = layer.map(|(encoding, temporal)| Layer {
                    encoding: encoding % 3,
                    spatial: 0,
                    temporal: temporal % 4,
                });
                router.set_allocation(subscriber(s), "1", layer)
            }
            Step::Declare {
                publisher: p,
                known,
            } => {
                let kids = if known { vec![KID] } else { Vec::new() };
                router.declare_kids(publisher(p), "0", kids)
            }
            _ => Ok(()),
        };
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Raw {
                transport: from,
                bytes,
            } => {
                self.router.handle_rtp(self.now, transport(*from), bytes);
            }
            Step::Rtp {
                transport: from,
                ssrc: of,
                payload_type,
                marker,
                sequence,
                timestamp,
                rid,
                body,
            } => {
                let header = RtpHeader {
                    marker: *marker,
                    payload_type: 96 + payload_type % 3,
                    sequence: *sequence,
                    timestamp: *timestamp,
                    ssrc: ssrc(*of),
                };
                self.rtp(*from, header, *rid, body);
            }
            Step::Rtcp {
                transport: from,
                bytes,
            } => self.rtcp(*from, bytes),
            Step::Nack {
                transport: from,
                ssrc: of,
                sequence,
                mask,
            } => {
                self.nack(*from, ssrc(*of), *sequence, *mask);
            }
            Step::Close { transport: index } => self.close(*index),
            Step::Flush => self.router.flush(self.now, &mut self.out),
            Step::Wait { milliseconds } => self.wait(*milliseconds),
            command => self.command(command),
        }
    }
}

fuzz_target!(|input: (bool, Vec<Step>)| {
    let access = if input.0 {
        PayloadAccess::Opaque
    } else {
        PayloadAccess::Clear
    };
    let mut session = Session {
        router: SessionRouter::new(access, ForwardSettings::default()),
        out: SequenceCheck::default(),
        now: Instant::now(),
    };
    // An initial state in which packets flow; the steps may undo it.
    session.command(&Step::Publish {
        publisher: 0,
        transport: 0,
        codec: 0,
        layers: 0,
    });
    session.command(&Step::Subscribe {
        subscriber: 0,
        publisher: 0,
        transport: 1,
        ssrc: 5,
        rtx: None,
    });
    session.command(&Step::Subscribe {
        subscriber: 1,
        publisher: 0,
        transport: 2,
        ssrc: 6,
        rtx: Some(7),
    });
    session.command(&Step::Publish {
        publisher: 1,
        transport: 3,
        codec: 0,
        layers: 3,
    });
    session.command(&Step::Subscribe {
        subscriber: 2,
        publisher: 1,
        transport: 1,
        ssrc: 8,
        rtx: Some(9),
    });
    for step in &input.1 {
        session.step(step);
    }
    session.router.flush(session.now, &mut session.out);
    let _ = session.router.snapshot();
});
