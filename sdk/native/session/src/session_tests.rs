//! A whole session against a server that is honest, and one that lies.

use sealroute_e2ee::{Codec, SignalContent, SignalEncryptor};
use sealroute_protocol::messages::{
    MuteForced, NotEncrypted, SignalReceived, SubscribedLayersChanged, Welcome,
};
use sealroute_protocol::{ClientMessage, Said, ServerMessage};
use sealroute_rules::FINAL_CLOSES;

use crate::test_server::{
    Bed, OPUS, OTHER, OWN, STREAM, announced, encrypted_by_other, hint, key, ms, sdp, welcome,
};
use crate::{Effect, Event, NotSent, PublishOptions, SessionState, StreamState};

#[test]
fn a_client_joins_says_which_secret_it_holds_and_learns_who_is_there() {
    let mut bed = Bed::new(Some(1));
    assert_eq!(bed.effects, [Effect::OpenSocket]);
    bed.open();
    assert_eq!(bed.hello().resume, None);
    bed.welcome(&welcome(true));
    assert_eq!(bed.kinds(), ["hello", "e2eeReady"]);
    assert_eq!(
        bed.names(),
        ["sessionConnected", "connectionCreated", "streamCreated"]
    );
    assert_eq!(bed.session.trust(), SessionState::Keyed);
    assert_eq!(bed.session.connection_id(), OWN);
    let code = bed.session.verification_code().unwrap();
    assert_eq!(code.len(), 35);
    bed.session.disconnect(bed.now);
    bed.drain();
    assert_eq!(bed.kinds(), ["bye"]);
    assert_eq!(bed.names(), ["sessionDisconnected"]);
    assert!(bed.session.is_over());
}

#[test]
fn what_ends_a_session_is_told_once_and_who_was_not_connected_is_not_disconnected() {
    let finals = FINAL_CLOSES.iter().map(|one| Some(one.0));
    for code in finals.chain([None, Some(1013)]) {
        let mut bed = Bed::new(Some(1));
        bed.open();
        bed.session.on_socket_closed(code, "gone", bed.now);
        bed.drain();
        assert_eq!(bed.names(), ["failed"], "{code:?}");
    }
    for &(code, error) in FINAL_CLOSES {
        let mut bed = Bed::keyed(1);
        bed.names();
        bed.session.on_socket_closed(Some(code), "gone", bed.now);
        bed.drain();
        let disconnected = "sessionDisconnected";
        let expected = match error {
            Some(_) => vec!["failed", disconnected],
            None => vec![disconnected],
        };
        assert_eq!(bed.names(), expected, "{code}");
    }
    let mut bed = Bed::new(Some(1));
    bed.open();
    bed.welcome(&welcome(false));
    assert_eq!(bed.names(), ["failed"]);
}

#[test]
fn a_session_that_is_not_what_was_asked_for_ends_before_anything_leaves() {
    let lie = |change: fn(&mut Welcome)| {
        let mut said = welcome(true);
        change(&mut said);
        said
    };
    for (secret, said, code) in [
        (Some(1), welcome(false), "not_encrypted"),
        (
            Some(1),
            lie(|w| w.session.media_mode = Some(Said::Text("relayed".into()))),
            "encrypted_and_relayed",
        ),
        (Some(1), lie(|w| w.session.e2ee = None), "encryption_unsaid"),
        (
            Some(1),
            lie(|w| w.session.session_id = "other".into()),
            "unexpected_server_response",
        ),
        (None, welcome(true), "encryption_secret_missing"),
    ] {
        let mut bed = Bed::new(secret);
        bed.open();
        bed.welcome(&said);
        assert_eq!(bed.kinds(), ["hello", "bye"], "{code}");
        assert_eq!(bed.codes(), [code]);
        assert!(bed.session.is_over());
        let refused = bed.session.publish(
            PublishOptions {
                audio: true,
                ..Default::default()
            },
            bed.now,
        );
        assert!(refused.is_err());
    }
}

#[test]
fn what_is_published_in_an_encrypted_session_is_declared_and_encrypted() {
    let mut bed = Bed::keyed(1);
    let id = bed.begin_publishing();
    let request = bed.publish_request();
    assert_eq!(request.e2ee_format.as_deref(), Some("e2ee/2"));
    let declared: Vec<_> = request
        .tracks
        .iter()
        .map(|track| track.kids.clone().unwrap())
        .collect();
    assert!(
        declared
            .iter()
            .all(|kids| kids.len() == 1 && kids[0].len() == 8)
    );
    assert_eq!(
        bed.session.wire(id, Codec::Opus, OPUS, bed.now).err(),
        Some(NotSent::Waiting)
    );
    bed.published("stream-own", sdp("recvonly"));
    assert_eq!(
        bed.session.wire(id, Codec::Opus, OPUS, bed.now).err(),
        Some(NotSent::Waiting)
    );
    bed.events.clear();
    bed.session.on_answer_applied(id, true, bed.now);
    let wire = bed.session.wire(id, Codec::Opus, OPUS, bed.now).unwrap();
    assert_eq!(wire.bytes()[1..9], declared[0][0]);
    assert!(!wire.bytes().windows(4).any(|part| part == b"some"));
    bed.drain();
    assert_eq!(bed.names(), ["published", "encryptionStateChanged"]);
    assert_eq!(
        bed.session.wire(id, Codec::Vp9, b"x", bed.now).err(),
        Some(NotSent::Codec)
    );
}

#[test]
fn in_a_clear_session_frames_leave_as_they_are_and_nothing_is_declared() {
    let mut bed = Bed::clear();
    let id = bed.publish();
    let request = bed.publish_request();
    assert_eq!(request.e2ee_format, None);
    assert!(request.tracks.iter().all(|track| track.kids.is_none()));
    let wire = bed.session.wire(id, Codec::Opus, OPUS, bed.now).unwrap();
    assert_eq!(wire.bytes(), OPUS);
    assert_eq!(
        bed.session.wire(id, Codec::Opus, b"", bed.now).err(),
        Some(NotSent::Malformed)
    );
}

#[test]
fn no_answer_of_the_server_makes_a_publication_send_in_clear_or_to_another_stream() {
    for answer in [
        sdp("sendrecv"),
        sdp("inactive"),
        sdp("recvonly").replace("VP8", "H265"),
        "x".into(),
    ] {
        let mut bed = Bed::keyed(1);
        let id = bed.begin_publishing();
        bed.published("stream-own", answer);
        assert_eq!(bed.codes(), ["unexpected_server_response"]);
        assert!(bed.effects.contains(&Effect::DropOffer));
        assert_eq!(
            bed.session.wire(id, Codec::Opus, OPUS, bed.now).err(),
            Some(NotSent::Unknown)
        );
        assert_eq!(bed.number("unpublish"), bed.sent.last().unwrap().0);
    }
    let mut bed = Bed::keyed(1);
    bed.begin_publishing();
    bed.published(STREAM, sdp("recvonly"));
    assert_eq!(bed.codes(), ["unexpected_server_response"]);
}

#[test]
fn muted_and_unwanted_tracks_send_nothing_and_video_comes_back_with_a_key_frame() {
    let mut bed = Bed::keyed(1);
    let id = bed.publish();
    bed.say(ServerMessage::MuteForced(MuteForced {
        active: true,
        stream_id: Some("stream-own".into()),
    }));
    assert_eq!(
        bed.session.wire(id, Codec::Opus, OPUS, bed.now).err(),
        Some(NotSent::Muted)
    );
    let demand = |subscribed| {
        ServerMessage::SubscribedLayersChanged(SubscribedLayersChanged {
            stream_id: "stream-own".into(),
            mid: "v".into(),
            subscribed,
            rids: Vec::new(),
        })
    };
    let video = [1; 20];
    bed.say(demand(false));
    assert_eq!(
        bed.session.wire(id, Codec::Vp8, &video, bed.now).err(),
        Some(NotSent::Unwanted)
    );
    bed.effects.clear();
    bed.say(demand(true));
    assert_eq!(bed.effects, [Effect::MakeKeyFrame(id)]);
    assert!(bed.session.wire(id, Codec::Vp8, &video, bed.now).is_ok());
    bed.session
        .set_sending(id, sealroute_e2ee::Track::Audio, true, bed.now)
        .unwrap();
    bed.drain();
    assert!(bed.session.wire(id, Codec::Opus, OPUS, bed.now).is_ok());
    assert_eq!(bed.sent.last().unwrap().1.kind(), "updateStream");
}

#[test]
fn what_arrives_opens_for_who_subscribed_to_it_and_nothing_clear_is_played() {
    let mut bed = Bed::keyed(1);
    let id = bed.subscribe();
    let frames = encrypted_by_other(1, 2);
    let opened = bed
        .session
        .on_frame("a", Codec::Opus, &frames[0], bed.now)
        .unwrap();
    assert_eq!((opened.subscription, opened.frame.as_slice()), (id, OPUS));
    for refused in [&frames[0][..], OPUS, b"", &encrypted_by_other(2, 1)[0]] {
        assert!(
            bed.session
                .on_frame("a", Codec::Opus, refused, bed.now)
                .is_none()
        );
    }
    assert!(
        bed.session
            .on_frame("b", Codec::Opus, &frames[1], bed.now)
            .is_none()
    );
    assert!(
        bed.session
            .on_frame("v", Codec::Opus, &frames[1], bed.now)
            .is_none()
    );
    assert!(
        bed.session
            .on_frame("a", Codec::Opus, &frames[1], bed.now)
            .is_some()
    );
    bed.session.unsubscribe(id, bed.now).unwrap();
    bed.drain();
    assert_eq!(bed.sent.last().unwrap().1.kind(), "unsubscribe");
    assert!(
        bed.session
            .on_frame("a", Codec::Opus, &frames[1], bed.now)
            .is_none()
    );
}

#[test]
fn a_wrong_secret_is_told_once_and_the_right_one_again() {
    let mut bed = Bed::keyed(2);
    bed.subscribe();
    bed.events.clear();
    let frames = encrypted_by_other(1, 40);
    let play = |bed: &mut Bed, range: std::ops::Range<usize>| {
        for at in range {
            bed.now += ms(20);
            bed.session.on_frame("a", Codec::Opus, &frames[at], bed.now);
        }
        bed.drain();
    };
    play(&mut bed, 0..30);
    let names = bed.names();
    assert_eq!(
        names
            .iter()
            .filter(|name| **name == "encryptionSecretMismatch")
            .count(),
        1
    );
    assert_eq!(bed.sent.last().unwrap().1.kind(), "e2eeState");
    bed.session.set_key(key(1), false, bed.now).unwrap();
    play(&mut bed, 30..40);
    assert!(bed.names().contains(&"encryptionSecretMatch"));
    let asked = Effect::RequestKeyFrame { mid: "v".into() };
    assert!(bed.effects.contains(&asked));
}

#[test]
fn senders_follow_a_new_secret_when_the_others_have_it_or_after_five_seconds() {
    for is_announced in [true, false] {
        let mut bed = Bed::keyed(1);
        bed.say(announced(1));
        let id = bed.publish();
        let before = bed.session.wire(id, Codec::Opus, OPUS, bed.now).unwrap();
        bed.sent.clear();
        bed.session.set_key(key(2), false, bed.now).unwrap();
        bed.drain();
        assert_eq!(bed.kinds(), ["declareKids", "declareKids", "e2eeReady"]);
        let still = bed.session.wire(id, Codec::Opus, OPUS, bed.now).unwrap();
        assert_eq!(still.bytes()[1..9], before.bytes()[1..9]);
        bed.effects.clear();
        if is_announced {
            bed.say(announced(2));
        } else {
            bed.at(5_000);
        }
        assert_eq!(bed.effects, [Effect::MakeKeyFrame(id)]);
        let after = bed.session.wire(id, Codec::Opus, OPUS, bed.now).unwrap();
        assert_eq!(
            u64::from(u16::from_be_bytes([after.bytes()[7], after.bytes()[8]])),
            hint(2)
        );
        let end = if is_announced { 10_000 } else { 15_000 };
        bed.sent.clear();
        bed.at(end - 1);
        let count = |bed: &mut Bed| {
            bed.kinds()
                .iter()
                .filter(|kind| **kind == "declareKids")
                .count()
        };
        assert_eq!(count(&mut bed), 0);
        bed.at(end);
        assert_eq!(count(&mut bed), 2);
    }
}

#[test]
fn an_immediate_change_leaves_nothing_under_the_old_secret() {
    let mut bed = Bed::keyed(1);
    bed.say(announced(1));
    let id = bed.publish();
    bed.session.set_key(key(2), true, bed.now).unwrap();
    let wire = bed.session.wire(id, Codec::Opus, OPUS, bed.now).unwrap();
    assert_eq!(
        u64::from(u16::from_be_bytes([wire.bytes()[7], wire.bytes()[8]])),
        hint(2)
    );
}

#[test]
fn the_guards_word_makes_a_stream_failing_for_three_seconds() {
    let mut bed = Bed::keyed(1);
    let id = bed.publish();
    bed.session.wire(id, Codec::Opus, OPUS, bed.now).unwrap();
    bed.drain();
    bed.events.clear();
    let (stream_id, mid) = ("stream-own".into(), "a".into());
    bed.say(ServerMessage::NotEncrypted(NotEncrypted {
        stream_id,
        mid,
        packets: 1,
    }));
    bed.at(3_000);
    let states = bed.events.iter().filter_map(|event| match event {
        Event::PublicationTrust { state, .. } => Some(*state),
        _ => None,
    });
    assert_eq!(
        states.collect::<Vec<_>>(),
        [StreamState::Failing, StreamState::Encrypted]
    );
}

fn signal_of_other(secret: u8, to: &str) -> Vec<u8> {
    let content = SignalContent {
        to: to.into(),
        kind: "chat".into(),
        data: "hello".into(),
    };
    SignalEncryptor::new(OTHER, &key(secret))
        .unwrap()
        .encrypt(&content)
        .unwrap()
}

fn received(from: Option<&str>, encrypted: Option<Vec<u8>>) -> ServerMessage {
    let clear = encrypted.is_none().then(|| "hello".to_owned());
    ServerMessage::SignalReceived(SignalReceived {
        from: from.map(str::to_owned),
        kind: None,
        data: clear,
        encrypted,
    })
}

#[test]
fn signals_are_encrypted_and_only_those_of_members_and_the_application_arrive() {
    let mut bed = Bed::keyed(1);
    bed.session
        .signal(None, "chat", "a secret word", bed.now)
        .unwrap();
    bed.drain();
    let ClientMessage::Signal(signal) = bed.sent.last().unwrap().1.clone() else {
        panic!("no signal");
    };
    assert_eq!((signal.kind, signal.data), (None, None));
    assert!(
        !signal
            .encrypted
            .unwrap()
            .windows(6)
            .any(|part| part == b"secret")
    );
    bed.events.clear();
    let good = signal_of_other(1, "");
    bed.say(received(Some(OTHER), Some(good.clone())));
    bed.say(received(None, None));
    assert_eq!(bed.names(), ["signal", "signal"]);
    bed.say(received(Some(OTHER), Some(good)));
    assert_eq!(bed.names(), Vec::<&str>::new());
    bed.say(received(Some(OTHER), None));
    bed.say(received(Some("nobody"), Some(signal_of_other(1, ""))));
    bed.say(received(Some(OTHER), Some(signal_of_other(2, ""))));
    let codes = bed.codes();
    let lie = "unexpected_server_response";
    assert_eq!(codes, [lie, lie, "encryption_secret_mismatch"]);
}
