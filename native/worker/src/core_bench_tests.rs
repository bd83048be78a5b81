//! A core in virtual time, with recorded sockets: the bench of the tests of the core.

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
use sealroute_transport::{SrtpKeys, SrtpProfile, SrtpSender, stun};

use crate::api::{
    Command, Direction, OpenRouter, OpenTransport, Publish, Secret, SetPeerCredentials,
    SetSrtpKeys, SrtpSecrets, Subscribe,
};
use crate::host_clock::HostClock;
use crate::path::Message;

pub(crate) const PASSWORD: &str = "a+password+of+the+server";
pub(crate) const PEER_PASSWORD: &str = "a password of the peer";
pub(crate) const CONSENT: Duration = Duration::from_secs(30);
pub(crate) const ROUTER: RouterHandle = RouterHandle(1);
pub(crate) const ANN: TransportHandle = TransportHandle(2);
pub(crate) const BEN: TransportHandle = TransportHandle(3);
pub(crate) const KEY: [u8; 16] = [7; 16];
pub(crate) const SALT: [u8; 12] = [9; 12];
pub(crate) const FEEDBACK_ID: u8 = 3;

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
            cpu_us: || 0,
        };
        let events = Arc::new(EventRing::new(64).unwrap());
        let core = Core::new(
            settings,
            wire.clone(),
            Taps::new(HostClock::new(Instant::now(), 0)).unwrap(),
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

/// Its keys and its last sequence number.
pub(crate) struct MediaPeer(SrtpSender, pub(crate) u16);

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

    /// A sender report on Ann's stream.
    pub(crate) fn sender_report(&mut self) -> Vec<u8> {
        let mut report = vec![0x80, 200, 0, 6, 0, 0, 0, 77];
        report.extend_from_slice(&[0xE0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1]);
        report.resize(28, 0);
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
