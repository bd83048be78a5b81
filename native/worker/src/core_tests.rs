use super::*;
use std::cell::{Cell, RefCell};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::rc::Rc;

use sealroute_forward::{
    Codec, DownTrackParameters, EncodingParameters, Extension, ExtensionIds, MediaKind,
    PayloadAccess, PublisherHandle, SubscriberHandle, UpTrackParameters,
};
use sealroute_transport::{SrtpKeys, SrtpProfile, SrtpReceiver, SrtpSender, stun};

use crate::api::{
    CloseRouter, Command, Direction, OpenRouter, OpenTransport, Publish, RestartIce, Secret,
    SetPeerCredentials, SetSrtpKeys, SrtpSecrets, Subscribe, Unpublish,
};
use crate::path::Message;

pub(crate) const PASSWORD: &str = "a+password+of+the+server";
pub(crate) const PEER_PASSWORD: &str = "a password of the peer";
const CONSENT: Duration = Duration::from_secs(30);
const ROUTER: RouterHandle = RouterHandle(1);
pub(crate) const ANN: TransportHandle = TransportHandle(2);
pub(crate) const BEN: TransportHandle = TransportHandle(3);
const KEY: [u8; 16] = [7; 16];
const SALT: [u8; 12] = [9; 12];
const FEEDBACK_ID: u8 = 3;

pub(crate) type Datagrams = Vec<(SocketAddr, Vec<u8>)>;

/// Records (peer, datagram) of everything sent, with segmented messages split as the kernel would;
/// or refuses everything with a kernel error.
#[derive(Clone, Default)]
pub(crate) struct Wire(Rc<RefCell<Datagrams>>, Rc<Cell<Option<i32>>>);

impl MessageSocket for Wire {
    fn send(&mut self, batch: &[Message<'_>]) -> io::Result<usize> {
        if let Some(code) = self.1.get() {
            return Err(io::Error::from_raw_os_error(code));
        }
        for message in batch {
            let size = message
                .segment_bytes
                .map_or(message.bytes.len(), usize::from);
            for datagram in message.bytes.chunks(size) {
                self.0
                    .borrow_mut()
                    .push((message.path.remote, datagram.to_vec()));
            }
        }
        Ok(batch.len())
    }

    fn keep(&mut self, _: NonZeroU32, _: Instant) {}
}

pub(crate) struct Bench {
    pub(crate) core: Core<Wire>,
    wire: Wire,
    pub(crate) now: Instant,
}

pub(crate) fn path(port: u16) -> Path {
    Path {
        remote: (Ipv4Addr::LOCALHOST, port).into(),
        local: None,
        connection: None,
    }
}

pub(crate) fn secrets() -> SrtpSecrets {
    SrtpSecrets {
        profile: SrtpProfile::AeadAes128Gcm,
        receive_key: Secret(KEY.to_vec().into()),
        receive_salt: Secret(SALT.to_vec().into()),
        send_key: Secret(KEY.to_vec().into()),
        send_salt: Secret(SALT.to_vec().into()),
    }
}

pub(crate) fn check(ufrag: &str, password: &str, use_candidate: bool) -> Vec<u8> {
    let username = format!("{ufrag}:client");
    let request = stun::BindingRequest {
        transaction_id: [5; 12],
        username: &username,
        priority: 1,
        controlling: 1,
        use_candidate,
    };
    let mut out = vec![0; 300];
    let length = stun::write_binding_request(&request, password.as_bytes(), &mut out);
    out.truncate(length);
    out
}

pub(crate) fn answer(check: &[u8], password: &str) -> Vec<u8> {
    let id = stun::parse_request(check).unwrap().transaction_id;
    let mut out = vec![0; 128];
    let length = stun::write_success(id, path(9).remote, password.as_bytes(), &mut out);
    out.truncate(length);
    out
}

pub(crate) fn up_track() -> UpTrackParameters {
    UpTrackParameters {
        mid: "0".into(),
        kind: MediaKind::Audio,
        codec: Codec::Opus,
        payload_type: 111,
        rtx_payload_type: None,
        clock_rate_hz: 48_000,
        encodings: vec![EncodingParameters {
            ssrc: Some(77),
            ..EncodingParameters::default()
        }],
        extensions: ExtensionIds(vec![(Extension::TransportCc, FEEDBACK_ID)]),
        nack: false,
        declared_kids: Vec::new(),
    }
}

pub(crate) fn down_track() -> DownTrackParameters {
    DownTrackParameters {
        mid: "1".into(),
        up_track_mid: "0".into(),
        ssrc: 88,
        rtx_ssrc: None,
        payload_type: 111,
        rtx_payload_type: None,
        extensions: ExtensionIds::default(),
        nack: true,
    }
}

impl Bench {
    /// A session with an uplink (ufrag `ann1`) and a downlink (`ben1`), neither validated.
    pub(crate) fn new() -> Self {
        let wire = Wire::default();
        let settings = CoreSettings {
            consent_timeout: CONSENT,
            forward: ForwardSettings::default(),
        };
        let events = Arc::new(EventRing::new(64).unwrap());
        let core = Core::new(
            settings,
            wire.clone(),
            events,
            Arc::new(SharedCounters::new()),
        );
        let mut bench = Self {
            core,
            wire,
            now: Instant::now(),
        };
        bench.apply(Command::OpenRouter(OpenRouter {
            router: ROUTER,
            access: PayloadAccess::Clear,
        }));
        for (transport, ufrag, direction) in [
            (ANN, "ann1", Direction::Uplink),
            (BEN, "ben1", Direction::Downlink),
        ] {
            bench.apply(Command::OpenTransport(OpenTransport {
                router: ROUTER,
                transport,
                direction,
                local_ufrag: ufrag.into(),
                local_pwd: Secret(PASSWORD.into()),
            }));
        }
        bench
    }

    /// Returns what was sent except probes, to which the peers at `ports` respond.
    pub(crate) fn answered(&mut self, ports: &[u16]) -> Datagrams {
        let mut others = Vec::new();
        loop {
            let sent = self.sent();
            if sent.is_empty() {
                return others;
            }
            for (to, datagram) in sent {
                if stun::parse_request(&datagram).is_err() {
                    others.push((to, datagram));
                } else if ports.contains(&to.port()) {
                    self.receive(to.port(), &answer(&datagram, PEER_PASSWORD));
                }
            }
        }
    }

    /// Ann (port 1) publishes and Ben (port 2) subscribes; both have keys.
    pub(crate) fn in_call() -> Self {
        let mut bench = Self::new();
        for (transport, ufrag, port) in [(ANN, "ann1", 1), (BEN, "ben1", 2)] {
            bench.introduce(transport);
            bench.receive(port, &check(ufrag, PASSWORD, true));
            bench.answered(&[port]);
            bench.apply(Command::SetSrtpKeys(SetSrtpKeys {
                transport,
                secrets: Box::new(secrets()),
            }));
        }
        let (publisher, subscriber) = (PublisherHandle(4), SubscriberHandle(5));
        bench.apply(Command::Publish(Publish {
            router: ROUTER,
            publisher,
            transport: ANN,
            up_tracks: vec![up_track()],
        }));
        bench.apply(Command::Subscribe(Subscribe {
            router: ROUTER,
            subscriber,
            publisher,
            transport: BEN,
            down_tracks: vec![down_track()],
        }));
        bench.sent();
        assert_eq!(bench.events().len(), 2);
        bench
    }

    /// The peer's description arrives.
    pub(crate) fn introduce(&mut self, transport: TransportHandle) {
        self.apply(Command::SetPeerCredentials(SetPeerCredentials {
            transport,
            ufrag: "client".into(),
            pwd: Secret(PEER_PASSWORD.into()),
        }));
    }

    pub(crate) fn apply(&mut self, command: Command) {
        self.core.apply(self.now, command);
        self.core.end_batch(self.now);
    }

    pub(crate) fn receive(&mut self, port: u16, datagram: &[u8]) {
        self.core
            .handle_datagram(self.now, Some(path(port)), &mut datagram.to_vec());
        self.core.end_batch(self.now);
    }

    /// Advances time, running every timer at its deadline.
    pub(crate) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.core.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.core.handle_timeout(self.now);
        }
        self.now = end;
    }

    pub(crate) fn sent(&self) -> Datagrams {
        std::mem::take(&mut self.wire.0.borrow_mut())
    }

    pub(crate) fn refuse(&self, code: Option<i32>) {
        self.wire.1.set(code);
    }

    pub(crate) fn events(&self) -> Vec<Event> {
        self.core.events.drain().into()
    }

    pub(crate) fn dropped(&self, reason: NetworkDrop) -> u64 {
        self.core.counters.dropped(reason)
    }
}

pub(crate) struct MediaPeer(SrtpSender, u16);

impl MediaPeer {
    pub(crate) fn new() -> Self {
        let keys = SrtpKeys {
            key: &KEY,
            salt: &SALT,
        };
        Self(
            SrtpSender::new(SrtpProfile::AeadAes128Gcm, keys).unwrap(),
            0,
        )
    }

    /// A receiver report on a stream that does not exist.
    pub(crate) fn report(&mut self) -> Vec<u8> {
        let mut report = vec![0x81, 201, 0, 7, 0, 0, 0, 1];
        report.resize(32, 0);
        let mut out = vec![0; 200];
        let length = self.0.protect_rtcp(&report, &mut out).unwrap();
        out.truncate(length);
        out
    }

    /// The next packet of Ann's stream, with a transport-wide sequence number.
    pub(crate) fn next(&mut self) -> Vec<u8> {
        self.1 += 1;
        let [high, low] = self.1.to_be_bytes();
        let mut header = vec![0x90, 111, high, low, 0, 0, high, low, 0, 0, 0, 77];
        header.extend_from_slice(&[0xBE, 0xDE, 0, 1, FEEDBACK_ID << 4 | 1, high, low, 0]);
        let mut slot = vec![0; 200];
        let length = self.0.protect_rtp(&header, b"audio", &mut slot).unwrap();
        slot.truncate(length);
        slot
    }
}

#[test]
fn checks_renew_consent_and_without_them_it_expires() {
    let mut bench = Bench::in_call();
    for _ in 0..10 {
        bench.pass(CONSENT / 2);
        bench.receive(1, &check("ann1", PASSWORD, false));
        bench.receive(2, &check("ben1", PASSWORD, false));
    }
    assert_eq!(bench.events(), []);
    bench.pass(CONSENT / 2);
    bench.receive(1, &check("ann1", PASSWORD, false));
    bench.pass(CONSENT / 2);
    assert_eq!(bench.events(), [Event::ConsentExpired { transport: BEN }]);
    bench.sent();
    bench.receive(1, &MediaPeer::new().next());
    assert!(bench.sent().iter().all(|(to, _)| to.port() != 2));
    assert_eq!(bench.dropped(NetworkDrop::SendNoAddress), 1);
}

#[test]
fn checks_that_do_not_authenticate_do_not_renew_consent() {
    let mut bench = Bench::in_call();
    bench.pass(Duration::from_secs(29));
    bench.receive(1, &check("ann1", "another+password+than+that", true));
    bench.receive(2, &check("ben1", PASSWORD, true));
    bench.pass(Duration::from_secs(2));
    assert_eq!(bench.events(), [Event::ConsentExpired { transport: ANN }]);
}

#[test]
fn a_packet_is_sent_protected_to_every_subscriber_and_to_no_other_peer() {
    let mut bench = Bench::in_call();
    bench.receive(1, &MediaPeer::new().next());
    let mut sent = bench.sent();
    assert_eq!(sent.len(), 1);
    let (to, packet) = &mut sent[0];
    assert_eq!(to.port(), 2);
    let keys = SrtpKeys {
        key: &KEY,
        salt: &SALT,
    };
    let mut receiver = SrtpReceiver::new(SrtpProfile::AeadAes128Gcm, keys).unwrap();
    let length = receiver.unprotect_rtp(packet).unwrap();
    assert_eq!(&packet[8..12], &88_u32.to_be_bytes());
    assert!(packet[..length].ends_with(b"audio"));
}

#[test]
fn feedback_is_sent_while_packets_arrive_and_stops_with_them() {
    let mut bench = Bench::in_call();
    let mut peer = MediaPeer::new();
    for _ in 0..50 {
        bench.receive(1, &peer.next());
        bench.pass(Duration::from_millis(20));
    }
    let is_rtcp = |(to, datagram): &(SocketAddr, Vec<u8>)| to.port() == 1 && datagram[1] == 205;
    let feedback = bench.sent().iter().filter(|sent| is_rtcp(sent)).count();
    assert!((5..=20).contains(&feedback), "{feedback} in a second");
    bench.pass(Duration::from_secs(1));
    bench.sent();
    bench.pass(Duration::from_secs(5));
    assert_eq!(bench.sent().iter().filter(|sent| is_rtcp(sent)).count(), 0);
}

#[test]
fn feedback_ends_with_the_publisher_that_negotiated_it() {
    let mut bench = Bench::in_call();
    let mut peer = MediaPeer::new();
    let publisher = PublisherHandle(4);
    bench.receive(1, &peer.next());
    bench.apply(Command::Unpublish(Unpublish { publisher }));
    bench.pass(Duration::from_secs(1));
    // Its successor uses the id for something else.
    let extensions = ExtensionIds(vec![(Extension::AbsSendTime, FEEDBACK_ID)]);
    let up_tracks = vec![UpTrackParameters {
        extensions,
        ..up_track()
    }];
    bench.apply(Command::Publish(Publish {
        router: ROUTER,
        publisher,
        transport: ANN,
        up_tracks,
    }));
    bench.sent();
    for _ in 0..50 {
        bench.receive(1, &peer.next());
        bench.pass(Duration::from_millis(20));
    }
    let feedback = |(to, datagram): &(SocketAddr, Vec<u8>)| to.port() == 1 && datagram[1] == 205;
    assert_eq!(bench.sent().iter().filter(|sent| feedback(sent)).count(), 0);
}

#[test]
fn no_timer_is_due_in_an_idle_worker() {
    let mut bench = Bench::new();
    bench.pass(Duration::from_secs(1));
    assert_eq!(bench.core.poll_timeout(), None);
}

#[test]
fn closing_a_router_removes_all_its_state() {
    let mut bench = Bench::in_call();
    bench.receive(1, &MediaPeer::new().next());
    bench.apply(Command::CloseRouter(CloseRouter { router: ROUTER }));
    let core = &bench.core;
    assert_eq!(core.transports.len() + core.sessions.len(), 0);
    assert_eq!(
        core.session_index.publishers() + core.session_index.subscribers(),
        0
    );
    assert_eq!(core.transports.by_address(path(1).peer()), None);
    assert_eq!(core.transports.by_ufrag("ann1"), None);
    bench.pass(Duration::from_secs(1));
    assert_eq!(bench.core.poll_timeout(), None);
    bench.sent();
    bench.receive(1, &check("ann1", PASSWORD, true));
    assert_eq!(bench.sent(), []);
}

#[test]
fn a_transport_serves_its_own_session_only() {
    let mut bench = Bench::in_call();
    let router = RouterHandle(50);
    bench.apply(Command::OpenRouter(OpenRouter {
        router,
        access: PayloadAccess::Clear,
    }));
    let publisher = PublisherHandle(51);
    bench.apply(Command::Publish(Publish {
        router,
        publisher,
        transport: ANN,
        up_tracks: vec![up_track()],
    }));
    let failed = Event::CommandFailed {
        command: "publish",
        handle: 51,
        reason: "unknown_handle",
    };
    assert_eq!(bench.events(), [failed]);
}

#[test]
fn a_connected_clients_junk_reaches_no_handshake_and_few_of_its_hellos_do() {
    let mut bench = Bench::in_call();
    let hello = |body: u8| {
        let mut bytes = vec![22, 0xFE, 0xFD, 0, 0, 0, 0, 0, 0, 0, 0, 0, 13];
        bytes.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, body]);
        bytes
    };
    for round in 0..50_000 {
        bench.receive(2, &[22; 40]);
        bench.receive(2, &hello(round as u8));
        bench.pass(Duration::from_micros(20));
        bench.core.events.drain();
    }
    assert_eq!(bench.dropped(NetworkDrop::DtlsMalformed), 50_000);
    let passed = bench.core.counters.dtls_records;
    assert!((8..=10).contains(&passed), "{passed}");
    assert_eq!(bench.dropped(NetworkDrop::DtlsFlood), 50_000 - passed);
}

/// xorshift64*: the same bytes on every run.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }
}

#[test]
fn no_datagram_ends_the_worker_and_an_unknown_address_gets_at_most_three_times_its_bytes() {
    let mut bench = Bench::in_call();
    let mut noise = Noise(0x5EED);
    let mut peer = MediaPeer::new();
    let (mut received, mut sent_back) = (0, 0);
    for round in 0..20_000 {
        let mut datagram = match round % 4 {
            0 => check("ann1", PASSWORD, true),
            1 => peer.next(),
            _ => (0..noise.next() % 200)
                .map(|_| noise.next() as u8)
                .collect(),
        };
        if let Some(byte) = (noise.next() as usize).checked_rem(datagram.len()) {
            datagram[byte] ^= 1 << (noise.next() % 8);
        }
        // From an unknown address: no state is kept for it, whatever the datagram.
        bench.receive(9, &datagram);
        received += datagram.len();
        sent_back += bench
            .sent()
            .iter()
            .filter(|(to, _)| to.port() == 9)
            .map(|(_, sent)| sent.len())
            .sum::<usize>();
        assert!(sent_back <= 3 * received && sent_back <= 10_000);
        bench.receive(1, &datagram);
        bench.events();
        bench.sent();
        if round % 64 == 0 {
            peer.1 = peer.1.wrapping_add(noise.next() as u16 % 8);
        }
    }
    assert!(bench.dropped(NetworkDrop::SrtpBadTag) > 1_000);
    assert!(bench.dropped(NetworkDrop::StunMalformed) > 1_000);
}

#[test]
fn after_an_ice_restart_only_the_new_credentials_reach_the_transport_and_its_keys_stay() {
    let mut bench = Bench::in_call();
    bench.apply(Command::RestartIce(RestartIce {
        transport: ANN,
        local_ufrag: "again".into(),
        local_pwd: Secret(PASSWORD.into()),
    }));
    let place = |bench: &Bench| bench.core.transports.get(ANN).unwrap().path;
    assert_eq!(place(&bench), Some(path(1)));
    bench.receive(11, &check("ann1", PASSWORD, true));
    assert_eq!(place(&bench), Some(path(1)));
    bench.receive(12, &check("again", PASSWORD, true));
    assert_eq!(place(&bench), Some(path(1)));
    bench.answered(&[12]);
    assert_eq!(place(&bench), Some(path(12)));
    assert!(bench.core.transports.get(ANN).unwrap().has_keys());
}

#[test]
fn a_connection_and_a_datagram_of_one_address_and_port_are_two_peers() {
    let mut bench = Bench::in_call();
    let connected = Path {
        connection: NonZeroU32::new(1),
        ..path(1)
    };
    let mut datagram = check("ben1", PASSWORD, true);
    bench
        .core
        .handle_datagram(bench.now, Some(connected), &mut datagram);
    let place = |bench: &Bench, of| bench.core.transports.get(of).unwrap().path;
    assert_eq!(place(&bench, ANN), Some(path(1)));
    assert_eq!(place(&bench, BEN), Some(connected));
    bench.core.handle_connection_end(connected.peer());
    assert_eq!(place(&bench, BEN), None);
    bench.receive(2, &check("ben1", PASSWORD, false));
    assert_eq!(place(&bench, BEN), Some(path(2)));
}
