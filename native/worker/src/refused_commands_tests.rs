//! A refused command leaves the core unchanged.

use std::time::Duration;

use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use sealroute_forward::{
    DownTrackParameters, EncodingParameters, MediaKind, PayloadAccess, PreferredLayers,
    PublisherHandle, SubscriberHandle, TransportHandle, UpTrackParameters,
};

use crate::api::{
    CloseRouter, CloseTransport, Command, DeclareKids, Direction, Event, FeedTrunk, OpenRouter,
    OpenTap, OpenTransport, OpenTrunk, Publish, RestartIce, RouterHandle, Secret, SendDtls,
    SetDownTrackForwarding, SetPeerCredentials, SetPreferredLayers, SetSrtpKeys, SetTrunkDemand,
    SetUpTrackForwarding, Subscribe, Unpublish, Unsubscribe, WriteTap,
};
use crate::core::bench::{
    ANN, BEN, Bench, MediaPeer, PASSWORD, PEER_PASSWORD, down_track, secrets, up_track,
};
use crate::local_socket::LocalSocket;

const ROUTER: RouterHandle = RouterHandle(1);
const OTHER: RouterHandle = RouterHandle(50);
const OPAQUE: RouterHandle = RouterHandle(52);
const NO_TRANSPORT: TransportHandle = TransportHandle(90);
const ANNS: PublisherHandle = PublisherHandle(4);
const NEW: PublisherHandle = PublisherHandle(91);
const BENS: SubscriberHandle = SubscriberHandle(5);
const FRESH: SubscriberHandle = SubscriberHandle(92);
const COMMANDS: usize = 21;

/// The index of each command. A new command does not compile without an index, and fails without a
/// row.
fn place(command: &Command) -> usize {
    match command {
        Command::OpenRouter(_) => 0,
        Command::CloseRouter(_) => 1,
        Command::OpenTransport(_) => 2,
        Command::RestartIce(_) => 3,
        Command::SetPeerCredentials(_) => 4,
        Command::SetSrtpKeys(_) => 5,
        Command::SendDtls(_) => 6,
        Command::CloseTransport(_) => 7,
        Command::Publish(_) => 8,
        Command::DeclareKids(_) => 9,
        Command::SetUpTrackForwarding(_) => 10,
        Command::Unpublish(_) => 11,
        Command::Subscribe(_) => 12,
        Command::SetDownTrackForwarding(_) => 13,
        Command::SetPreferredLayers(_) => 14,
        Command::Unsubscribe(_) => 15,
        Command::OpenTap(_) => 16,
        Command::WriteTap(_) => 17,
        Command::OpenTrunk(_) => 18,
        Command::FeedTrunk(_) => 19,
        Command::SetTrunkDemand(_) => 20,
    }
}

fn open(router: RouterHandle, transport: TransportHandle, ufrag: &str) -> Command {
    Command::OpenTransport(OpenTransport {
        router,
        transport,
        direction: Direction::Uplink,
        local_ufrag: ufrag.into(),
        local_pwd: Secret(PASSWORD.into()),
    })
}

fn restart(transport: TransportHandle, ufrag: &str) -> Command {
    Command::RestartIce(RestartIce {
        transport,
        local_ufrag: ufrag.into(),
        local_pwd: Secret(PASSWORD.into()),
    })
}

fn tap(router: RouterHandle, transport: TransportHandle) -> Command {
    let (kind, flags) = (SocketType::SEQPACKET, SocketFlags::CLOEXEC);
    let (ours, _) = socketpair(AddressFamily::UNIX, kind, flags, None).unwrap();
    Command::OpenTap(OpenTap {
        router,
        transport,
        socket: LocalSocket::new(ours),
    })
}

fn trunk(router: RouterHandle, transport: TransportHandle, worker: u32) -> Command {
    Command::OpenTrunk(OpenTrunk {
        router,
        transport,
        worker,
        remote: TransportHandle(1),
    })
}

fn feed(publisher: PublisherHandle, mid: &str, ssrcs: &[u32]) -> Command {
    Command::FeedTrunk(FeedTrunk {
        publisher,
        mid: mid.into(),
        transport: NO_TRANSPORT,
        ssrcs: ssrcs.to_vec(),
    })
}

fn of_trunks() -> Vec<(Command, &'static str)> {
    let unknown = "unknown_handle";
    vec![
        (trunk(RouterHandle(99), NO_TRANSPORT, 1), unknown),
        (trunk(ROUTER, ANN, 1), "handle_taken"),
        (trunk(ROUTER, NO_TRANSPORT, 1), "unknown_worker"),
        (feed(NEW, "0", &[1]), unknown),
        (feed(ANNS, "7", &[1]), unknown),
        (feed(ANNS, "0", &[1]), unknown),
        (
            Command::SetTrunkDemand(SetTrunkDemand {
                publisher: ANNS,
                mid: "0".into(),
                transport: NO_TRANSPORT,
                rids: vec![None],
            }),
            unknown,
        ),
    ]
}

fn keys(transport: TransportHandle) -> Command {
    Command::SetSrtpKeys(SetSrtpKeys {
        transport,
        secrets: Box::new(secrets()),
    })
}

fn publish(
    router: RouterHandle,
    publisher: PublisherHandle,
    transport: TransportHandle,
    up_tracks: Vec<UpTrackParameters>,
) -> Command {
    Command::Publish(Publish {
        router,
        publisher,
        transport,
        up_tracks,
    })
}

fn subscribe(
    subscriber: SubscriberHandle,
    publisher: PublisherHandle,
    transport: TransportHandle,
    down_tracks: Vec<DownTrackParameters>,
) -> Command {
    Command::Subscribe(Subscribe {
        router: ROUTER,
        subscriber,
        publisher,
        transport,
        down_tracks,
    })
}

fn fresh_up_track(mid: &str, ssrc: u32) -> UpTrackParameters {
    UpTrackParameters {
        mid: mid.into(),
        encodings: vec![EncodingParameters {
            ssrc: Some(ssrc),
            ..EncodingParameters::default()
        }],
        ..up_track()
    }
}

fn twice_the_same_rid() -> UpTrackParameters {
    let encoding = EncodingParameters {
        rid: Some("h".into()),
        ..EncodingParameters::default()
    };
    UpTrackParameters {
        encodings: vec![encoding.clone(), encoding],
        ..fresh_up_track("9", 9)
    }
}

fn fresh_down_track(ssrc: u32, rtx_ssrc: Option<u32>, up_track_mid: &str) -> DownTrackParameters {
    DownTrackParameters {
        ssrc,
        rtx_ssrc,
        rtx_payload_type: rtx_ssrc.map(|_| 112),
        up_track_mid: up_track_mid.into(),
        ..down_track()
    }
}

fn of_transports() -> Vec<(Command, &'static str)> {
    let unknown = "unknown_handle";
    let access = PayloadAccess::Opaque;
    vec![
        (
            Command::OpenRouter(OpenRouter {
                router: ROUTER,
                access,
            }),
            "handle_taken",
        ),
        (
            Command::CloseRouter(CloseRouter {
                router: RouterHandle(99),
            }),
            unknown,
        ),
        (open(RouterHandle(99), NO_TRANSPORT, "new1"), unknown),
        (open(ROUTER, ANN, "new1"), "handle_taken"),
        (open(OTHER, ANN, "new1"), "handle_taken"),
        (open(ROUTER, NO_TRANSPORT, "ben1"), "ufrag_taken"),
        (restart(ANN, "ben1"), "ufrag_taken"),
        (restart(ANN, "ann1"), "ufrag_taken"),
        (restart(NO_TRANSPORT, "new1"), unknown),
        (
            Command::SetPeerCredentials(SetPeerCredentials {
                transport: NO_TRANSPORT,
                ufrag: "client".into(),
                pwd: Secret(PEER_PASSWORD.into()),
            }),
            unknown,
        ),
        (keys(NO_TRANSPORT), unknown),
        (keys(ANN), "keys_taken"),
        (
            Command::SendDtls(SendDtls {
                transport: NO_TRANSPORT,
                datagram: Secret(vec![22; 20].into()),
            }),
            unknown,
        ),
        (
            Command::CloseTransport(CloseTransport {
                transport: NO_TRANSPORT,
            }),
            unknown,
        ),
        (tap(RouterHandle(99), NO_TRANSPORT), unknown),
        (tap(ROUTER, ANN), "handle_taken"),
        (tap(OPAQUE, NO_TRANSPORT), "opaque"),
        (
            Command::WriteTap(WriteTap {
                transport: ANN,
                body: Secret(b"{}".to_vec().into()),
            }),
            unknown,
        ),
    ]
}

fn of_publishers() -> Vec<(Command, &'static str)> {
    let (unknown, conflict) = ("unknown_handle", "conflict");
    let fine = || fresh_up_track("9", 9);
    let no_clock = UpTrackParameters {
        clock_rate_hz: 0,
        ..fine()
    };
    let mid = |publisher, mid: &str| (publisher, String::from(mid));
    let mut rows = vec![
        (publish(ROUTER, NEW, NO_TRANSPORT, vec![fine()]), unknown),
        (publish(OTHER, NEW, ANN, vec![fine()]), unknown),
        (publish(RouterHandle(99), NEW, ANN, vec![fine()]), unknown),
        (publish(ROUTER, ANNS, ANN, vec![fine()]), "handle_taken"),
        (
            publish(ROUTER, NEW, ANN, vec![fresh_up_track("0", 9)]),
            conflict,
        ),
        (
            publish(ROUTER, NEW, ANN, vec![fresh_up_track("9", 77)]),
            conflict,
        ),
        // The first of the two is valid.
        (
            publish(ROUTER, NEW, ANN, vec![fine(), fresh_up_track("8", 9)]),
            conflict,
        ),
        (
            publish(ROUTER, NEW, ANN, vec![fine(), fresh_up_track("9", 8)]),
            conflict,
        ),
        (
            publish(ROUTER, NEW, ANN, vec![fine(), fresh_up_track("8", 77)]),
            conflict,
        ),
        (
            publish(ROUTER, NEW, ANN, vec![twice_the_same_rid()]),
            conflict,
        ),
        (
            publish(ROUTER, NEW, ANN, vec![fresh_up_track("8", 8), no_clock]),
            "invalid",
        ),
        (Command::Unpublish(Unpublish { publisher: NEW }), unknown),
    ];
    for (publisher, mid) in [mid(NEW, "0"), mid(ANNS, "7")] {
        let kids = Vec::new();
        rows.push((
            Command::DeclareKids(DeclareKids {
                publisher,
                mid: mid.clone(),
                kids,
            }),
            unknown,
        ));
        rows.push((
            Command::SetUpTrackForwarding(SetUpTrackForwarding {
                publisher,
                mid,
                forwarding: false,
            }),
            unknown,
        ));
    }
    rows
}

fn of_subscribers() -> Vec<(Command, &'static str)> {
    let (unknown, conflict) = ("unknown_handle", "conflict");
    let fine = || fresh_down_track(9, None, "0");
    let two = |second| vec![fine(), second];
    let kind = MediaKind::Audio;
    let (subscriber, forwarding) = (FRESH, false);
    vec![
        (subscribe(FRESH, ANNS, NO_TRANSPORT, vec![fine()]), unknown),
        (subscribe(BENS, ANNS, BEN, vec![fine()]), "handle_taken"),
        (subscribe(FRESH, NEW, BEN, vec![fine()]), unknown),
        (
            subscribe(FRESH, ANNS, BEN, vec![fresh_down_track(9, None, "7")]),
            unknown,
        ),
        (
            subscribe(FRESH, ANNS, BEN, vec![fresh_down_track(88, None, "0")]),
            conflict,
        ),
        (
            subscribe(FRESH, ANNS, BEN, vec![fresh_down_track(9, Some(88), "0")]),
            conflict,
        ),
        (
            subscribe(FRESH, ANNS, BEN, vec![fresh_down_track(9, Some(9), "0")]),
            conflict,
        ),
        (
            subscribe(FRESH, ANNS, BEN, two(fresh_down_track(9, None, "0"))),
            conflict,
        ),
        (
            subscribe(FRESH, ANNS, BEN, two(fresh_down_track(8, None, "7"))),
            unknown,
        ),
        (
            Command::SetDownTrackForwarding(SetDownTrackForwarding {
                subscriber,
                kind,
                forwarding,
            }),
            unknown,
        ),
        (
            Command::SetPreferredLayers(SetPreferredLayers {
                subscriber,
                preferred: PreferredLayers::default(),
            }),
            unknown,
        ),
        (Command::Unsubscribe(Unsubscribe { subscriber }), unknown),
    ]
}

/// The call of the bench, and a second session.
fn call() -> Bench {
    let mut bench = Bench::in_call();
    bench.apply(Command::OpenRouter(OpenRouter {
        router: OTHER,
        access: PayloadAccess::Clear,
    }));
    bench.apply(open(OTHER, TransportHandle(51), "cat1"));
    bench.apply(Command::OpenRouter(OpenRouter {
        router: OPAQUE,
        access: PayloadAccess::Opaque,
    }));
    bench.receive(1, &MediaPeer::new().next());
    bench.sent();
    bench.events();
    bench
}

/// The core's state, as far as it is visible from outside.
fn whole(bench: &Bench) -> String {
    let core = &bench.core;
    let sessions: Vec<_> = [ROUTER, OTHER, OPAQUE]
        .map(|router| core.snapshot(bench.now, router))
        .into();
    let sizes = (
        core.sessions.len(),
        core.transports.len() + core.taps.len() + core.trunks.len(),
        core.session_index.publishers(),
        core.session_index.subscribers(),
    );
    let ufrags = ["ann1", "ben1", "cat1", "new1"].map(|ufrag| core.transports.by_ufrag(ufrag));
    format!(
        "{sessions:?} {sizes:?} {ufrags:?} {:?}",
        core.poll_timeout()
    )
}

fn rows() -> Vec<(Command, &'static str)> {
    let parts = [
        of_transports(),
        of_trunks(),
        of_publishers(),
        of_subscribers(),
    ];
    parts.into_iter().flatten().collect()
}

#[test]
fn every_command_has_a_row() {
    let mut places: Vec<_> = rows().iter().map(|(command, _)| place(command)).collect();
    places.sort_unstable();
    places.dedup();
    assert_eq!(places, (0..COMMANDS).collect::<Vec<_>>());
}

#[test]
fn a_refused_command_changes_nothing() {
    for (command, reason) in rows() {
        let mut bench = call();
        let before = whole(&bench);
        let (name, handle) = command.identity();
        bench.apply(command.clone());
        let failed = Event::CommandFailed {
            command: name,
            handle,
            reason,
        };
        assert_eq!(bench.events(), [failed], "{command:?}");
        assert_eq!(whole(&bench), before, "{command:?}");
        assert!(bench.sent().is_empty(), "{command:?}");
    }
}

#[test]
fn after_all_refusals_the_call_continues_and_valid_commands_succeed() {
    let mut bench = call();
    for (command, _) in rows() {
        bench.apply(command);
    }
    bench.events();
    bench.pass(Duration::from_millis(20));
    bench.sent();
    bench.apply(publish(ROUTER, NEW, ANN, vec![fresh_up_track("9", 9)]));
    bench.apply(subscribe(
        FRESH,
        NEW,
        BEN,
        vec![fresh_down_track(9, None, "9")],
    ));
    bench.apply(open(ROUTER, NO_TRANSPORT, "new1"));
    assert_eq!(bench.events(), []);
    let mut peer = MediaPeer::new();
    peer.next();
    bench.receive(1, &peer.next());
    assert!(bench.sent().iter().any(|(to, _)| to.port() == 2));
}
