//! A forwarded packet allocates nothing.

use super::bench::{PASSWORD, PEER_PASSWORD, answer, check, path, secrets};
use super::*;
use std::io;
use std::num::NonZeroU32;

use sealroute_forward::{
    Codec, DownTrackParameters, EncodingParameters, Extension, ExtensionIds, MediaKind,
    PayloadAccess, PublisherHandle, SubscriberHandle, UpTrackParameters,
};
use sealroute_transport::{SrtpKeys, SrtpProfile, SrtpSender};

use crate::api::{
    Command, Direction, OpenRouter, OpenTransport, Publish, Secret, SetPeerCredentials,
    SetSrtpKeys, Subscribe,
};
use crate::host_clock::HostClock;
use crate::path::Message;

const ROUTER: RouterHandle = RouterHandle(1);
const UPLINK: TransportHandle = TransportHandle(2);
const PUBLISHER: PublisherHandle = PublisherHandle(3);
const FIRST_VIEWER: u64 = 100;
const VIEWERS: u64 = 12;
const MID_ID: u8 = 4;
const TRANSPORT_CC_ID: u8 = 3;
const SSRC: u32 = 77;
const FRAME_PACKETS: u16 = 5;
const FRAME_INTERVAL: Duration = Duration::from_millis(20);
/// After this many frames, rings, tables and caches have their final size.
const WARM_UP_FRAMES: usize = 230;
/// Both together take less time than the renewal of a path proof.
const COUNTED_FRAMES: usize = 230;

/// Accepts everything and keeps only the last check.
#[derive(Default)]
struct Sink {
    packets: usize,
    check: Vec<u8>,
}

impl MessageSocket for Sink {
    fn send(&mut self, batch: &[Message<'_>]) -> io::Result<usize> {
        for message in batch {
            let size = message
                .segment_bytes
                .map_or(message.bytes.len(), usize::from);
            self.packets += message.bytes.len().div_ceil(size.max(1));
            if message.bytes.starts_with(&[0, 1]) {
                self.check = message.bytes.to_vec();
            }
        }
        Ok(batch.len())
    }

    fn keep(&mut self, _: NonZeroU32, _: Instant) {}
}

fn up_track(kind: MediaKind) -> UpTrackParameters {
    let is_video = kind == MediaKind::Video;
    UpTrackParameters {
        mid: "0".into(),
        kind,
        codec: if is_video { Codec::Vp8 } else { Codec::Opus },
        payload_type: 96,
        rtx_payload_type: is_video.then_some(97),
        clock_rate_hz: if is_video { 90_000 } else { 48_000 },
        encodings: vec![EncodingParameters {
            ssrc: Some(SSRC),
            rtx_ssrc: is_video.then_some(SSRC + 1),
            rid: None,
        }],
        extensions: ExtensionIds(vec![
            (Extension::Mid, MID_ID),
            (Extension::TransportCc, TRANSPORT_CC_ID),
        ]),
        nack: true,
        declared_kids: Vec::new(),
    }
}

fn down_track(index: u64, kind: MediaKind) -> DownTrackParameters {
    let is_video = kind == MediaKind::Video;
    DownTrackParameters {
        mid: "0".into(),
        up_track_mid: "0".into(),
        ssrc: 0x2000 + 2 * index as u32,
        rtx_ssrc: is_video.then_some(0x2001 + 2 * index as u32),
        payload_type: 100,
        rtx_payload_type: is_video.then_some(101),
        extensions: ExtensionIds(vec![
            (Extension::Mid, MID_ID),
            (Extension::TransportCc, TRANSPORT_CC_ID),
        ]),
        nack: true,
    }
}

fn core_of_a_call(now: Instant, kind: MediaKind) -> Core<Sink> {
    let settings = CoreSettings {
        cpu_us: || 0,
        consent_timeout: Duration::from_secs(3_600),
        forward: ForwardSettings::default(),
    };
    let events = Arc::new(EventRing::new(1_024).unwrap());
    let shared = Arc::new(SharedCounters::new());
    let mut core = Core::new(
        settings,
        Sink::default(),
        Taps::new(HostClock::new(now, 0)).unwrap(),
        events,
        shared,
    );
    core.apply(
        now,
        Command::OpenRouter(OpenRouter {
            router: ROUTER,
            access: PayloadAccess::Clear,
        }),
    );
    let viewers = (0..VIEWERS).map(|n| (TransportHandle(FIRST_VIEWER + n), Direction::Downlink));
    for (port, (transport, direction)) in
        (1..).zip([(UPLINK, Direction::Uplink)].into_iter().chain(viewers))
    {
        let ufrag = format!("of{}", transport.0);
        core.apply(
            now,
            Command::OpenTransport(OpenTransport {
                router: ROUTER,
                transport,
                direction,
                local_ufrag: ufrag.clone(),
                local_pwd: Secret(PASSWORD.into()),
            }),
        );
        core.apply(
            now,
            Command::SetPeerCredentials(SetPeerCredentials {
                transport,
                ufrag: "client".into(),
                pwd: Secret(PEER_PASSWORD.into()),
            }),
        );
        core.handle_datagram(now, Some(path(port)), &mut check(&ufrag, PASSWORD, true));
        core.end_batch(now);
        let probe = core.socket().check.clone();
        let mut proof = answer(&probe, PEER_PASSWORD);
        core.handle_datagram(now, Some(path(port)), &mut proof);
        let secrets = Box::new(secrets());
        core.apply(
            now,
            Command::SetSrtpKeys(SetSrtpKeys { transport, secrets }),
        );
    }
    core.apply(
        now,
        Command::Publish(Publish {
            router: ROUTER,
            publisher: PUBLISHER,
            transport: UPLINK,
            up_tracks: vec![up_track(kind)],
        }),
    );
    for index in 0..VIEWERS {
        core.apply(
            now,
            Command::Subscribe(Subscribe {
                router: ROUTER,
                subscriber: SubscriberHandle(FIRST_VIEWER + index),
                publisher: PUBLISHER,
                transport: TransportHandle(FIRST_VIEWER + index),
                down_tracks: vec![down_track(index, kind)],
            }),
        );
    }
    core.end_batch(now);
    core
}

/// Protected packets of frames of `FRAME_PACKETS` each; the first frame of a video is a key frame.
struct Film {
    sender: SrtpSender,
    sequence: u16,
    frame: u32,
}

impl Film {
    fn new() -> Self {
        let secrets = secrets();
        let keys = SrtpKeys {
            key: &secrets.receive_key.0,
            salt: &secrets.receive_salt.0,
        };
        Self {
            sender: SrtpSender::new(SrtpProfile::AeadAes128Gcm, keys).unwrap(),
            sequence: 0,
            frame: 0,
        }
    }

    fn next_frame(&mut self) -> Vec<Vec<u8>> {
        let packets = (0..FRAME_PACKETS).map(|index| self.packet(index)).collect();
        self.frame += 1;
        packets
    }

    fn packet(&mut self, index: u16) -> Vec<u8> {
        self.sequence = self.sequence.wrapping_add(1);
        let [high, low] = self.sequence.to_be_bytes();
        let marker = u8::from(index + 1 == FRAME_PACKETS) << 7;
        let mut header = vec![0x90, 0x60 | marker, high, low];
        header.extend_from_slice(&(self.frame * 1_800).to_be_bytes());
        header.extend_from_slice(&SSRC.to_be_bytes());
        header.extend_from_slice(&[0xBE, 0xDE, 0, 2]);
        header.extend_from_slice(&[
            TRANSPORT_CC_ID << 4 | 1,
            high,
            low,
            MID_ID << 4,
            b'0',
            0,
            0,
            0,
        ]);
        let mut payload = vec![0; 900];
        // The VP8 descriptor marks the start of a frame; the first bit of the frame marks a key
        // frame.
        payload[0] = u8::from(index == 0) << 4;
        payload[1] = u8::from(self.frame > 0);
        let mut slot = vec![0; 1_200];
        let length = self
            .sender
            .protect_rtp(&header, &payload, &mut slot)
            .unwrap();
        slot.truncate(length);
        slot
    }
}

/// The allocations while the counted frames were forwarded, and the packets sent.
fn count(kind: MediaKind) -> (u64, usize) {
    let mut now = Instant::now();
    let mut core = core_of_a_call(now, kind);
    let mut film = Film::new();
    let mut allocations = 0;
    let mut before = 0;
    for number in 0..WARM_UP_FRAMES + COUNTED_FRAMES {
        let mut frame = film.next_frame();
        let info = allocation_counter::measure(|| {
            for packet in &mut frame {
                core.handle_datagram(now, Some(path(1)), packet);
            }
            core.end_batch(now);
        });
        if number < WARM_UP_FRAMES {
            before = core.socket().packets;
        } else {
            allocations += info.count_total;
        }
        now += FRAME_INTERVAL;
        // Reports, feedback and the allocation of bandwidth run a few times per second, independent
        // of the packet rate: they may allocate.
        let until = now;
        while let Some(due) = core.poll_timeout().filter(|due| *due <= until) {
            core.handle_timeout(due);
        }
    }
    (allocations, core.socket().packets - before)
}

#[test]
fn a_forwarded_video_packet_allocates_nothing() {
    let (allocations, sent) = count(MediaKind::Video);
    let media = COUNTED_FRAMES * usize::from(FRAME_PACKETS) * VIEWERS as usize;
    assert!(sent >= media, "{sent} of {media} packets");
    assert_eq!(allocations, 0);
}

#[test]
fn a_forwarded_audio_packet_allocates_nothing() {
    let (allocations, sent) = count(MediaKind::Audio);
    let media = COUNTED_FRAMES * usize::from(FRAME_PACKETS) * VIEWERS as usize;
    assert!(sent >= media, "{sent} of {media} packets");
    assert_eq!(allocations, 0);
}
