//! The run through a worker: SRTP from the publisher, forwarding, SRTP to the subscribers, and the
//! batches that the kernel would get.

use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::time::{Duration, Instant};

use sealroute_forward::{
    EncodingParameters, PayloadAccess, SubscriberHandle, TransportHandle, UpTrackParameters,
};
use sealroute_loadgen::media::Packetizer;
use sealroute_transport::{SrtpKeys, SrtpProfile, SrtpSender, stun};
use sealroute_worker::api::{
    Command, FeedTrunk, OpenRouter, OpenTransport, OpenTrunk, Publish, SetPeerCredentials,
    SetSrtpKeys, Subscribe,
};
use sealroute_worker::{
    Direction, OfflineWorker, RouterHandle, Secret, SrtpSecrets, WorkerSettings,
};

use super::{
    FIRST_SUBSCRIBER, PUBLISHER, RATE_PPS, SLOT_BYTES, SUBSCRIBERS, UPLINK, WARM_UP, counted,
    down_track, media, up_track,
};

const ROUTER: RouterHandle = RouterHandle(1);
const TRUNK: TransportHandle = TransportHandle(3);
const PASSWORD: &str = "a+password+of+the+server";
const PEER_PASSWORD: &str = "a password of the peer";
const KEY: [u8; 16] = [7; 16];
const SALT: [u8; 12] = [9; 12];

/// A worker with its virtual time.
struct Scene {
    worker: OfflineWorker,
    now: Instant,
}

fn address(transport: TransportHandle) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, transport.0 as u16).into()
}

fn secrets() -> SrtpSecrets {
    SrtpSecrets {
        profile: SrtpProfile::AeadAes128Gcm,
        receive_key: Secret(KEY.to_vec().into()),
        receive_salt: Secret(SALT.to_vec().into()),
        send_key: Secret(KEY.to_vec().into()),
        send_salt: Secret(SALT.to_vec().into()),
    }
}

impl Scene {
    fn receive(&mut self, transport: TransportHandle, datagram: &mut [u8]) {
        self.worker.receive(self.now, address(transport), datagram);
        self.worker.end_batch(self.now);
    }

    /// A transport whose peer has validated and proven its address, with keys.
    fn connect(&mut self, transport: TransportHandle, direction: Direction) {
        let ufrag = format!("server{}", transport.0);
        let commands = [
            Command::OpenTransport(OpenTransport {
                router: ROUTER,
                transport,
                direction,
                local_ufrag: ufrag.clone(),
                local_pwd: Secret(PASSWORD.into()),
            }),
            Command::SetPeerCredentials(SetPeerCredentials {
                transport,
                ufrag: "client".into(),
                pwd: Secret(PEER_PASSWORD.into()),
            }),
            Command::SetSrtpKeys(SetSrtpKeys {
                transport,
                secrets: Box::new(secrets()),
            }),
        ];
        for command in commands {
            self.worker.apply(self.now, command);
        }
        self.worker.take_sent();
        let check = stun::BindingRequest {
            transaction_id: [5; 12],
            username: &format!("{ufrag}:client"),
            priority: 1,
            controlling: 1,
            use_candidate: true,
        };
        let mut out = [0; 300];
        let length = stun::write_binding_request(&check, PASSWORD.as_bytes(), &mut out);
        self.receive(transport, &mut out[..length]);
        for (to, datagram) in self.worker.take_sent() {
            let Ok(probe) = stun::parse_request(&datagram) else {
                continue;
            };
            let mut out = [0; 128];
            let id = probe.transaction_id;
            let length = stun::write_success(id, to, PEER_PASSWORD.as_bytes(), &mut out);
            self.receive(transport, &mut out[..length]);
        }
        self.worker.forget_sent();
    }

    fn empty(now: Instant) -> Result<Self, String> {
        let worker = OfflineWorker::new(now, &WorkerSettings::default());
        let worker = worker.map_err(|error| error.to_string())?;
        let mut scene = Self { worker, now };
        scene.apply(Command::OpenRouter(OpenRouter {
            router: ROUTER,
            access: PayloadAccess::Opaque,
        }));
        Ok(scene)
    }

    fn apply(&mut self, command: Command) {
        self.worker.apply(self.now, command);
    }

    fn publish(&mut self, transport: TransportHandle, up_tracks: Vec<UpTrackParameters>) {
        self.apply(Command::Publish(Publish {
            router: ROUTER,
            publisher: PUBLISHER,
            transport,
            up_tracks,
        }));
    }

    fn view(&mut self, subscribers: Range<u64>) {
        for index in subscribers {
            let transport = TransportHandle(FIRST_SUBSCRIBER + index);
            self.connect(transport, Direction::Downlink);
            self.apply(Command::Subscribe(Subscribe {
                router: ROUTER,
                subscriber: SubscriberHandle(transport.0),
                publisher: PUBLISHER,
                transport,
                down_tracks: vec![down_track(index)],
            }));
        }
    }

    fn set_up(now: Instant, idle: u32, subscribers: Range<u64>) -> Result<Self, String> {
        let mut scene = Self::empty(now)?;
        scene.connect(UPLINK, Direction::Uplink);
        scene.publish(UPLINK, (0..=idle).map(up_track).collect());
        scene.view(subscribers);
        Ok(scene)
    }

    /// Takes the publisher's datagrams, with their lengths, in bursts.
    fn forward(&mut self, datagrams: &mut [([u8; SLOT_BYTES], usize)], burst: u32) {
        let from = address(UPLINK);
        for batch in datagrams.chunks_mut(burst as usize) {
            for (datagram, length) in batch {
                self.worker
                    .receive(self.now, from, &mut datagram[..*length]);
            }
            self.worker.end_batch(self.now);
            self.now += Duration::from_secs_f64(f64::from(burst) / RATE_PPS);
        }
    }
}

/// Protected datagrams of the publisher, with their lengths.
type Datagrams = Vec<([u8; SLOT_BYTES], usize)>;

fn published(packets: u64, burst: u32) -> Result<Datagrams, String> {
    let keys = SrtpKeys {
        key: &KEY,
        salt: &SALT,
    };
    let sender = SrtpSender::new(SrtpProfile::AeadAes128Gcm, keys);
    let mut sender = sender.map_err(|error| error.to_string())?;
    let mut packetizer = Packetizer::new(&media(burst), 0).map_err(|error| error.to_string())?;
    let mut datagrams = Vec::new();
    for number in 0..WARM_UP + packets {
        let mut packet = [0; SLOT_BYTES];
        let (length, _) = packetizer.write(&mut packet, number);
        let length = sender.protect_rtp_in_place(&mut packet, length);
        datagrams.push((packet, length.map_err(|error| error.to_string())?));
    }
    Ok(datagrams)
}

/// Reports to the publisher and probes are sent too.
fn checked(sent: u64, packets: u64) -> Result<u64, String> {
    let expected = packets * SUBSCRIBERS;
    if sent < expected {
        return Err(format!("sent {sent} of {expected} packets"));
    }
    Ok(expected)
}

/// As [`super::run`], through a worker.
pub(crate) fn run(packets: u64, burst: u32, idle: u32) -> Result<u64, String> {
    let mut scene = Scene::set_up(Instant::now(), idle, 0..SUBSCRIBERS)?;
    let mut datagrams = published(packets, burst)?;
    let (first, rest) = datagrams.split_at_mut(WARM_UP as usize);
    scene.forward(first, burst);
    let before = scene.worker.totals().datagrams;
    counted(&mut || scene.forward(rest, burst));
    checked(scene.worker.totals().datagrams - before, packets)
}

/// One session on two workers.
struct Split {
    origin: Scene,
    other: Scene,
}

impl Split {
    /// Half of the subscribers on each.
    fn set_up(now: Instant, idle: u32) -> Result<Self, String> {
        let mut origin = Scene::set_up(now, idle, 0..SUBSCRIBERS / 2)?;
        let mut other = Scene::empty(now)?;
        let linked = origin.worker.link(0, &mut other.worker, 1);
        linked.map_err(|error| error.to_string())?;
        let open = |worker| {
            Command::OpenTrunk(OpenTrunk {
                router: ROUTER,
                transport: TRUNK,
                worker,
                remote: TRUNK,
            })
        };
        origin.apply(open(1));
        origin.apply(Command::FeedTrunk(FeedTrunk {
            publisher: PUBLISHER,
            mid: "0".into(),
            transport: TRUNK,
            ssrcs: vec![1],
        }));
        other.apply(open(0));
        let encodings = vec![EncodingParameters {
            ssrc: Some(1),
            ..EncodingParameters::default()
        }];
        let input = UpTrackParameters {
            encodings,
            rtx_payload_type: None,
            ..up_track(0)
        };
        other.publish(TRUNK, vec![input]);
        other.view(SUBSCRIBERS / 2..SUBSCRIBERS);
        Ok(Self { origin, other })
    }

    fn forward(&mut self, datagrams: &mut [([u8; SLOT_BYTES], usize)], burst: u32) {
        for batch in datagrams.chunks_mut(burst as usize) {
            self.origin.forward(batch, burst);
            self.other.worker.serve_trunks(self.other.now);
            self.other.worker.end_batch(self.other.now);
            self.other.now = self.origin.now;
        }
    }

    fn sent(&self) -> u64 {
        let both = [&self.origin, &self.other];
        both.map(|scene| scene.worker.totals().datagrams)
            .iter()
            .sum()
    }
}

/// As [`run`], with half of the subscribers on a second worker.
pub(crate) fn run_split(packets: u64, burst: u32, idle: u32) -> Result<u64, String> {
    let mut split = Split::set_up(Instant::now(), idle)?;
    let mut datagrams = published(packets, burst)?;
    let (first, rest) = datagrams.split_at_mut(WARM_UP as usize);
    split.forward(first, burst);
    let before = split.sent();
    counted(&mut || split.forward(rest, burst));
    checked(split.sent() - before, packets)
}
