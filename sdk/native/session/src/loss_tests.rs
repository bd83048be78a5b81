//! A session whose WebSockets and transports are lost, whose server lies late, and whose streams end.

use std::collections::BTreeMap;

use sealroute_e2ee::Codec;
use sealroute_protocol::ServerMessage;
use sealroute_protocol::messages::{
    Direction, Error, Published, StreamCreated, StreamDestroyed, StreamEnd, TransportLost,
};

use crate::test_server::{
    Bed, OPUS, OTHER, STREAM, announced, downlink_offer, encrypted_by_other, hint, key, sdp,
    stream, welcome,
};
use crate::{Effect, NotSent, SessionError};

#[test]
fn a_lost_websocket_is_resumed_and_what_did_not_arrive_is_sent_again() {
    let mut bed = Bed::keyed(1);
    bed.at(20_000);
    bed.session.on_socket_closed(Some(1006), "gone", bed.now);
    bed.session.signal(None, "", "while away", bed.now).unwrap();
    bed.drain();
    bed.sent.clear();
    bed.at(20_000);
    bed.open();
    assert_eq!(bed.hello().resume.as_deref(), Some("resume-1"));
    let mut again = welcome(true);
    (again.resumed, again.last_request) = (true, Some(2));
    bed.welcome(&again);
    assert_eq!(bed.kinds(), ["hello", "e2eeReady", "signal"]);
    assert!(
        bed.names()
            .ends_with(&["sessionReconnecting", "sessionReconnected"])
    );
}

#[test]
fn a_resume_that_contradicts_the_first_welcome_is_the_end() {
    let mut bed = Bed::keyed(1);
    let id = bed.publish();
    bed.at(20_000);
    bed.session.on_socket_closed(None, "gone", bed.now);
    bed.at(20_000);
    bed.open();
    bed.welcome(&welcome(false));
    assert_eq!(bed.codes(), ["not_encrypted"]);
    assert!(bed.session.is_over());
    assert!(bed.session.wire(id, Codec::Opus, OPUS, bed.now).is_err());
}

#[test]
fn another_connection_of_the_session_publishes_and_subscribes_again_under_fresh_key_ids() {
    let mut bed = Bed::keyed(1);
    let id = bed.publish();
    bed.subscribe();
    let before = bed.session.wire(id, Codec::Opus, OPUS, bed.now).unwrap();
    bed.at(20_000);
    bed.session.on_socket_closed(None, "gone", bed.now);
    bed.at(20_000);
    bed.open();
    let mut other = welcome(true);
    other.connection.connection_id = "conn-own-2".into();
    bed.effects.clear();
    bed.welcome(&other);
    assert_eq!(
        bed.session.wire(id, Codec::Opus, OPUS, bed.now).err(),
        Some(NotSent::Waiting)
    );
    let is_offer = |effect: &Effect| matches!(effect, Effect::OfferUplink { .. });
    assert!(bed.effects.iter().any(is_offer));
    assert_eq!(bed.sent.last().unwrap().1.kind(), "subscribe");
    bed.offer(id);
    bed.published("stream-own-2", sdp("recvonly"));
    bed.session.on_answer_applied(id, true, bed.now);
    let after = bed.session.wire(id, Codec::Opus, OPUS, bed.now).unwrap();
    assert_ne!(after.bytes()[1..9], before.bytes()[1..9]);
}

#[test]
fn a_server_that_loses_transports_in_a_loop_gets_ten_more_and_then_an_end() {
    let mut bed = Bed::keyed(1);
    bed.publish();
    let mut offers = 0;
    for at in 1..=300 {
        // What is not there cannot be lost once more.
        for _ in 0..2 {
            let direction = Direction::Uplink;
            bed.say(ServerMessage::TransportLost(TransportLost { direction }));
        }
        bed.keep_alive_until(1_000 * at);
        let is_offer = |effect: &Effect| matches!(effect, Effect::OfferUplink { .. });
        offers += bed.effects.drain(..).filter(is_offer).count();
    }
    // The publication's first, and ten more.
    assert_eq!(offers, 11);
    assert_eq!(bed.codes(), ["transport_lost"]);
    assert!(!bed.session.is_over());
}

#[test]
fn the_server_cannot_put_one_stream_in_the_place_of_another() {
    let mut bed = Bed::keyed(1);
    bed.subscribe();
    bed.say(ServerMessage::StreamCreated(StreamCreated {
        stream: stream("stream-2", OTHER),
    }));
    bed.events.clear();
    let mut offer = downlink_offer(2);
    offer.tracks[0].stream_id = "stream-2".into();
    bed.say(ServerMessage::DownlinkOffer(offer));
    bed.session.on_answered(2, Some("answer".into()), bed.now);
    bed.drain();
    assert_eq!(bed.codes(), ["decryption_internal"]);
    assert!(bed.effects.contains(&Effect::LineFreed { mid: "a".into() }));
    assert!(
        bed.session
            .on_frame("a", Codec::Opus, &encrypted_by_other(1, 1)[0], bed.now)
            .is_none()
    );
    let mut more = downlink_offer(3);
    more.sdp = more.sdp.replace("AA:BB", "EE:EE");
    bed.say(ServerMessage::DownlinkOffer(more));
    assert_eq!(bed.codes(), ["unexpected_server_response"]);
}

#[test]
fn a_late_answer_is_given_back_and_a_refusal_keeps_its_code() {
    let mut bed = Bed::keyed(1);
    bed.begin_publishing();
    let re = bed.number("publish");
    let error = Error {
        code: "stream_limit".into(),
        number: 1605,
        re: Some(re),
        ..Error::default()
    };
    bed.say(ServerMessage::Error(error));
    assert_eq!(bed.codes(), ["stream_limit"]);
    bed.begin_publishing();
    let re = bed.number("publish");
    bed.keep_alive_until(21_000);
    assert_eq!(bed.codes(), ["request_timeout"]);
    let (stream_id, answer, tracks) = ("late".into(), sdp("recvonly"), Vec::new());
    bed.say(ServerMessage::Published(Published {
        re,
        stream_id,
        answer,
        tracks,
    }));
    assert_eq!(bed.sent.last().unwrap().1.kind(), "unpublish");
}

#[test]
fn a_stream_that_ends_takes_its_subscriptions_with_it_and_an_own_one_its_lines() {
    let mut bed = Bed::keyed(1);
    bed.publish();
    bed.subscribe();
    bed.events.clear();
    for stream_id in [STREAM, "stream-own"] {
        let (stream_id, reason) = (stream_id.into(), StreamEnd::ForceUnpublished);
        bed.say(ServerMessage::StreamDestroyed(StreamDestroyed {
            stream_id,
            reason,
        }));
    }
    assert_eq!(
        bed.names(),
        ["subscriberDestroyed", "streamDestroyed", "unpublished"]
    );
    let retired = Effect::RetireLines(vec!["a".into(), "v".into()]);
    assert!(bed.effects.contains(&retired));
}

#[test]
fn a_publication_that_nobody_wants_any_more_is_given_back_when_its_answer_comes() {
    let mut bed = Bed::keyed(1);
    let id = bed.begin_publishing();
    bed.session.unpublish(id, bed.now).unwrap();
    bed.published("stream-own", sdp("recvonly"));
    bed.session.on_answer_applied(id, true, bed.now);
    bed.drain();
    assert_eq!(bed.sent.last().unwrap().1.kind(), "unpublish");
    assert_eq!(
        bed.session.wire(id, Codec::Opus, OPUS, bed.now).err(),
        Some(NotSent::Unknown)
    );
}

#[test]
fn hints_of_a_welcome_count() {
    let mut bed = Bed::new(Some(1));
    bed.open();
    let mut said = welcome(true);
    said.hints = Some(BTreeMap::from([(OTHER.to_owned(), hint(1))]));
    bed.welcome(&said);
    let id = bed.publish();
    bed.session.set_key(key(2), false, bed.now).unwrap();
    bed.drain();
    bed.effects.clear();
    bed.at(4_999);
    assert_eq!(bed.effects, []);
    bed.say(announced(2));
    assert_eq!(bed.effects, [Effect::MakeKeyFrame(id)]);
}

#[test]
fn a_secret_for_a_clear_session_ends_it() {
    let mut bed = Bed::clear();
    let refused = bed.session.set_key(key(1), false, bed.now);
    assert_eq!(refused, Err(SessionError::NotEncrypted));
    bed.drain();
    assert_eq!(bed.codes(), ["not_encrypted"]);
    assert!(bed.session.is_over());
}
