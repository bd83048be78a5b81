//! Cameras, a microphone, and subscribers behind bottlenecks, in virtual time.

use super::wire::{encrypted, rtp, vp8_continuation, vp8_sized};
use super::*;
use sealroute_forward::{DownTrackSnapshot, StreamState, TwccReceiver};
use sealroute_netem::{Bottleneck, Random};
use std::collections::BTreeMap;

const TRANSPORT_CC_ID: u8 = 12;
const AUDIO_PUBLISHER: PublisherHandle = PublisherHandle(11);
const AUDIO_UPLINK: TransportHandle = TransportHandle(8);
const AUDIO_UP_TRACK_SSRC: u32 = 0x2000;
const STEP: Duration = Duration::from_millis(1);
const DELAY: Duration = Duration::from_millis(25);
const OVERHEAD_BYTES: usize = 44;
/// Bits per second of the three encodings.
pub const LAYERS: [f64; 3] = [150e3, 500e3, 1_900e3];
pub const SIZES: [(u16, u16); 3] = [(320, 180), (640, 360), (1280, 720)];
const FRAMES_PER_SECOND: u64 = 25;

/// One subscriber's device.
pub struct Viewer {
    pub transport: TransportHandle,
    path: usize,
    pub loss: f64,
    /// It sends no feedback.
    pub silent: bool,
    receiver: TwccReceiver,
    /// In the order of arrival.
    travelling: BTreeMap<(Instant, u64), Vec<u8>>,
    feedback: Vec<(Instant, Vec<u8>)>,
    pub received: Vec<(Instant, u32, usize)>,
    /// The first key frame of each size.
    pub first_key_frame: BTreeMap<(u16, u16), Instant>,
    /// The time and size of each key frame.
    pub key_frames: Vec<(Instant, (u16, u16))>,
    /// SSRCs and sequence numbers in sending order.
    pub numbers: Vec<(u32, u16)>,
    pub audio_sent: u64,
    sent: u64,
}

impl Viewer {
    /// The bitrate received in the time before `now`.
    pub fn bps(&self, now: Instant, time: Duration) -> f64 {
        let inside = |at: Instant| now.saturating_duration_since(at) < time;
        let bytes: usize = self
            .received
            .iter()
            .filter(|(at, ..)| inside(*at))
            .map(|(_, _, bytes)| bytes)
            .sum();
        bytes as f64 * 8.0 / time.as_secs_f64()
    }

    pub fn audio_received(&self) -> usize {
        self.received
            .iter()
            .filter(|(_, ssrc, _)| ssrc & 0xF000 == 0xA000)
            .count()
    }
}

/// One camera with its encodings.
struct Camera {
    uplink: TransportHandle,
    publisher: PublisherHandle,
    sequences: [u16; 3],
    /// When an unanswered key-frame request arrived.
    asked: [Option<Instant>; 3],
}

impl Camera {
    fn numbered(number: u64) -> Self {
        Self {
            uplink: TransportHandle(UPLINK.0 + 1_000 * number),
            publisher: PublisherHandle(PUBLISHER.0 + 1_000 * number),
            sequences: [0; 3],
            asked: [None; 3],
        }
    }
}

fn encoding_ssrc(camera: usize, layer: usize) -> u32 {
    0x1000 + (16 * camera + layer) as u32
}

pub struct Room {
    pub session: Session,
    pub paths: Vec<Bottleneck>,
    pub viewers: Vec<Viewer>,
    cameras: Vec<Camera>,
    /// Otherwise one is sent each second, so that switches need no second party.
    pub key_frames_on_request: bool,
    /// From the request to the key frame.
    pub key_frame_delay: Duration,
    random: Random,
    began: Instant,
    frame: u64,
    audio: u16,
    layers: Vec<f64>,
    pub events: Vec<(Instant, ForwardEvent)>,
    /// The microphone sends nothing.
    pub silent: bool,
    /// Key-frame requests to the cameras: when, and to which.
    pub requests: Vec<(Instant, usize)>,
    pub lies: Option<fn(&mut Random, &mut Vec<u8>)>,
}

fn video_up_track(camera: usize, layers: usize) -> UpTrackParameters {
    let encoding = |layer: usize| EncodingParameters {
        ssrc: Some(encoding_ssrc(camera, layer)),
        ..EncodingParameters::default()
    };
    UpTrackParameters {
        encodings: (0..layers).map(encoding).collect(),
        ..up_track(Codec::Vp8)
    }
}

fn viewer_down_track(ssrc: u32, video: bool) -> DownTrackParameters {
    DownTrackParameters {
        ssrc,
        rtx_ssrc: video.then_some(ssrc + 1),
        rtx_payload_type: video.then_some(DOWN_TRACK_RTX_PAYLOAD_TYPE),
        extensions: ids(&[(Extension::TransportCc, TRANSPORT_CC_ID)]),
        ..down_track()
    }
}

impl Room {
    /// Each path with its number of subscribers.
    pub fn new(layers: &[f64], paths: &[(f64, usize)]) -> Self {
        let mut room = Self::with_cameras(1, layers);
        for &(rate_bps, viewers) in paths {
            let path = room.add_path(rate_bps);
            for _ in 0..viewers {
                room.join(path);
            }
        }
        room
    }

    /// No subscribers yet.
    pub fn with_cameras(cameras: usize, layers: &[f64]) -> Self {
        let mut session = Session::new(PayloadAccess::Opaque);
        let cameras: Vec<_> = (0..cameras as u64).map(Camera::numbered).collect();
        for (number, camera) in cameras.iter().enumerate() {
            let parameters = video_up_track(number, layers.len());
            session.publish(camera.publisher, camera.uplink, parameters);
        }
        let audio = UpTrackParameters {
            encodings: vec![EncodingParameters {
                ssrc: Some(AUDIO_UP_TRACK_SSRC),
                ..EncodingParameters::default()
            }],
            ..up_track(Codec::Opus)
        };
        session.publish(AUDIO_PUBLISHER, AUDIO_UPLINK, audio);
        Self {
            began: session.now,
            session,
            paths: Vec::new(),
            viewers: Vec::new(),
            cameras,
            key_frames_on_request: false,
            key_frame_delay: Duration::ZERO,
            random: Random::new(7),
            frame: 0,
            audio: 0,
            layers: layers.to_vec(),
            events: Vec::new(),
            silent: false,
            requests: Vec::new(),
            lies: None,
        }
    }

    pub fn add_path(&mut self, rate_bps: f64) -> usize {
        self.paths
            .push(Bottleneck::new(rate_bps, Duration::from_millis(500)));
        self.paths.len() - 1
    }

    /// Adds a subscriber to everything.
    pub fn join(&mut self, path: usize) {
        let index = self.viewers.len() as u32;
        let transport = TransportHandle(100 + u64::from(index));
        let (router, now) = (&mut self.session.router, self.session.now);
        for (number, camera) in self.cameras.iter().enumerate() {
            let down_track = DownTrackParameters {
                mid: format!("v{number}"),
                ..viewer_down_track(0x9000 + 16 * index + 2 * number as u32, true)
            };
            let name = SubscriberHandle(200 + 1_000 * number as u64 + u64::from(index));
            router
                .subscribe(now, name, camera.publisher, transport, &[down_track])
                .expect("subscribed");
        }
        self.subscribe_to_audio(transport, index);
        self.viewers.push(Viewer {
            transport,
            path,
            loss: 0.0,
            silent: false,
            receiver: TwccReceiver::new(),
            travelling: BTreeMap::new(),
            feedback: Vec::new(),
            received: Vec::new(),
            first_key_frame: BTreeMap::new(),
            key_frames: Vec::new(),
            numbers: Vec::new(),
            audio_sent: 0,
            sent: 0,
        });
    }

    /// Adds one audio subscription per `index`.
    pub fn subscribe_to_audio(&mut self, transport: TransportHandle, index: u32) {
        let now = self.session.now;
        let audio = viewer_down_track(0xA000 + 16 * index, false);
        let name = SubscriberHandle(300 + u64::from(index));
        let subscribed =
            self.session
                .router
                .subscribe(now, name, AUDIO_PUBLISHER, transport, &[audio]);
        subscribed.expect("subscribed");
    }

    /// Sends the media of cameras and microphone due now.
    fn send_media(&mut self) {
        let passed_ms = self.session.now.duration_since(self.began).as_millis() as u64;
        if passed_ms.is_multiple_of(20) && !self.silent {
            let packet = rtp(
                self.audio,
                u32::from(self.audio) * 960,
                &encrypted(&[7; 80]),
            );
            self.audio = self.audio.wrapping_add(1);
            let packet = packet.ssrc(AUDIO_UP_TRACK_SSRC);
            self.session.take(AUDIO_UPLINK, &packet.bytes());
        }
        if passed_ms * FRAMES_PER_SECOND / 1_000 >= self.frame {
            for camera in 0..self.cameras.len() {
                for layer in 0..self.layers.len() {
                    self.send_frame(camera, layer);
                }
            }
            self.frame += 1;
        }
        self.session
            .router
            .flush(self.session.now, &mut self.session.out);
    }

    fn is_key_frame(&mut self, camera: usize, layer: usize) -> bool {
        if self.key_frames_on_request {
            let (now, delay) = (self.session.now, self.key_frame_delay);
            let asked = &mut self.cameras[camera].asked[layer];
            let due = asked.take_if(|at| now >= *at + delay);
            return due.is_some() || self.frame == 0;
        }
        self.frame.is_multiple_of(FRAMES_PER_SECOND)
    }

    fn send_frame(&mut self, camera: usize, layer: usize) {
        let key_frame = self.is_key_frame(camera, layer);
        let average = self.layers[layer] / FRAMES_PER_SECOND as f64 / 8.0;
        let mut left = (average * if key_frame { 3.0 } else { 0.92 }) as usize;
        let timestamp = (self.frame * 90_000 / FRAMES_PER_SECOND) as u32;
        let picture = self.frame as u16;
        let mut first = true;
        while left > 0 {
            let body = vec![0x5A; left.min(1_100)];
            left -= body.len();
            let payload = if first {
                vp8_sized(key_frame, picture, SIZES[layer], &body)
            } else {
                vp8_continuation(picture, &body)
            };
            first = false;
            let sequence = &mut self.cameras[camera].sequences[layer];
            let packet = rtp(*sequence, timestamp, &payload).ssrc(encoding_ssrc(camera, layer));
            *sequence = sequence.wrapping_add(1);
            let uplink = self.cameras[camera].uplink;
            self.session.take(uplink, &packet.bytes());
        }
    }

    fn carry(&mut self) {
        let now = self.session.now;
        for sent in std::mem::take(&mut self.session.out.rtp) {
            let Some(viewer) = self.viewers.iter_mut().find(|v| v.transport == sent.to) else {
                continue;
            };
            let ssrc = sent.packet().ssrc();
            viewer.numbers.push((ssrc, sent.sequence()));
            viewer.audio_sent += u64::from(ssrc & 0xF000 == 0xA000);
            let size = sent.bytes.len() + OVERHEAD_BYTES;
            let Some(passed) = self.paths[viewer.path].send(now, size) else {
                continue;
            };
            if self.random.chance(viewer.loss) {
                continue;
            }
            viewer.sent += 1;
            viewer
                .travelling
                .insert((passed + DELAY, viewer.sent), sent.bytes);
        }
        for event in std::mem::take(&mut self.session.out.events) {
            self.events.push((now, event));
        }
        self.hear_requests();
        self.session.out.rtcp.clear();
        for index in 0..self.viewers.len() {
            self.receive(index);
        }
    }

    fn hear_requests(&mut self) {
        let (out, now) = (&self.session.out, self.session.now);
        for (number, camera) in self.cameras.iter_mut().enumerate() {
            for (layer, asked) in camera.asked.iter_mut().enumerate() {
                if out.plis(camera.uplink, encoding_ssrc(number, layer)) > 0 {
                    asked.get_or_insert(now);
                    self.requests.push((now, number));
                }
            }
        }
    }

    fn receive(&mut self, index: usize) {
        let now = self.session.now;
        let viewer = &mut self.viewers[index];
        while let Some(first) = viewer.travelling.first_entry()
            && first.key().0 <= now
        {
            let (at, _) = *first.key();
            let bytes = first.remove();
            let packet = RtpPacket::parse(&bytes).expect("RTP");
            let number = packet.extensions().get(TRANSPORT_CC_ID).expect("numbered");
            viewer
                .receiver
                .record(at, u16::from_be_bytes([number[0], number[1]]));
            if let Some(size) = wire::vp8_key_frame_size(packet.payload()) {
                viewer.first_key_frame.entry(size).or_insert(at);
                viewer.key_frames.push((at, size));
            }
            viewer
                .received
                .push((at, packet.ssrc(), bytes.len() + OVERHEAD_BYTES));
        }
        if viewer.receiver.poll_timeout().is_some_and(|at| at <= now) {
            let mut compound = Vec::new();
            viewer.receiver.poll_feedback(now, 1, 2, &mut compound);
            if let (0, Some(lie)) = (index, self.lies) {
                lie(&mut self.random, &mut compound);
            }
            if !viewer.silent {
                viewer.feedback.push((now + DELAY, compound));
            }
        }
        let transport = viewer.transport;
        let (due, later) = std::mem::take(&mut viewer.feedback)
            .into_iter()
            .partition(|(at, _)| *at <= now);
        viewer.feedback = later;
        let due: Vec<(Instant, Vec<u8>)> = due;
        for (_, compound) in due {
            self.session.rtcp(transport, &compound);
        }
    }

    pub fn run(&mut self, time: Duration) {
        let end = self.session.now + time;
        while self.session.now < end {
            self.send_media();
            self.carry();
            self.session.pass(STEP);
        }
    }

    /// Whether the viewer's videos are paused for lack of bandwidth.
    pub fn all_paused(&self, viewer: usize) -> bool {
        let transport = self.viewers[viewer].transport;
        let rows = self.session.router.snapshot().down_tracks;
        let videos =
            |row: &&DownTrackSnapshot| row.transport == transport && row.kind == MediaKind::Video;
        rows.iter().filter(videos).all(|row| row.paused)
    }

    /// Of the first camera.
    pub fn stream_state(&self, viewer: u64) -> Option<StreamState> {
        let of_viewer = |event: &ForwardEvent| match event {
            ForwardEvent::StreamStateChanged { subscriber, state }
                if subscriber.0 == 200 + viewer =>
            {
                Some(*state)
            }
            _ => None,
        };
        self.events
            .iter()
            .rev()
            .find_map(|(_, event)| of_viewer(event))
    }

    pub fn trace(&self, index: usize) -> String {
        format!("{:?}", self.session.router.snapshot().downlinks[index])
    }
}
