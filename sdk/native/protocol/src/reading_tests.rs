//! What a hostile server can send, and what becomes of it.

use proptest::prelude::{any, proptest};

use crate::{Said, ServerMessage, decode};

fn map(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = vec![0x80 | members.len() as u8];
    for (name, value) in members {
        out.push(0xa0 | name.len() as u8);
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(value);
    }
    out
}

const KIND: (&str, &[u8]) = ("t", b"\xb1connectionCreated");

fn created(connection: &[(&str, &[u8])]) -> Vec<u8> {
    map(&[KIND, ("connection", &map(connection))])
}

#[test]
fn a_message_is_read_with_members_of_later_versions() {
    let bytes = created(&[
        ("connectionId", b"\xa1c"),
        ("creationTime", b"\x05"),
        ("later", b"\x92\xc0\x80"),
    ]);
    let Ok(Some(ServerMessage::ConnectionCreated(message))) = decode(&bytes) else {
        panic!("it is one")
    };
    assert_eq!(message.connection.connection_id, "c");
    assert_eq!(message.connection.creation_time, 5);
    assert_eq!(message.connection.data, None);
}

#[test]
fn a_kind_of_a_later_version_passes_unread() {
    assert_eq!(
        decode(&map(&[("t", b"\xa5later"), ("x", b"\xc0")])),
        Ok(None)
    );
}

#[test]
fn what_is_no_message_is_refused() {
    for bytes in [
        &b""[..],
        b"\x90",
        b"\x80",
        b"\x81\xa1t\x01",
        b"\x81\x01\xa2ok",
        b"\xc0",
    ] {
        let refused = decode(bytes).unwrap_err();
        assert_eq!(
            (refused.kind.as_str(), refused.code()),
            ("", "unexpected_server_response")
        );
    }
}

#[test]
fn a_wrong_member_refuses_the_message_and_names_itself() {
    let time: (&str, &[u8]) = ("creationTime", b"\x05");
    for id in [&b"\xa0"[..], b"\xa1\n", b"\x01", b"\xc0", b"\xc4\x01a"] {
        let refused = decode(&created(&[("connectionId", id), time])).unwrap_err();
        assert_eq!(
            (refused.kind.as_str(), refused.path.as_str()),
            ("connectionCreated", "connection")
        );
    }
    let ok = |re: &[u8]| decode(&map(&[("t", b"\xa2ok"), ("re", re)]));
    assert_eq!(
        ok(b"\x07").unwrap().and_then(|message| message.answers()),
        Some(7)
    );
    for re in [
        &b"\xc0"[..],
        b"\xff",
        b"\xce\x80\x00\x00\x00",
        b"\xcb\x3f\xf0\0\0\0\0\0\0",
    ] {
        assert_eq!(ok(re).unwrap_err().path, "re");
    }
}

#[test]
fn a_misshapen_answer_names_its_request() {
    let bytes = map(&[("t", b"\xaasubscribed"), ("re", b"\x09")]);
    assert_eq!(decode(&bytes).unwrap_err().answers, Some(9));
}

#[test]
fn what_is_said_of_encryption_is_read_as_it_was_said() {
    let session = |members: &[(&str, &[u8])]| {
        let value = crate::value::read(&map(members)).map(|_| map(members));
        value.unwrap()
    };
    let welcome = |session: &[u8]| {
        let no_rights = [
            "publish",
            "subscribe",
            "signal",
            "forceUnpublish",
            "forceDisconnect",
            "forceMute",
        ];
        let rights = no_rights.map(|name| (name, &b"\x01"[..]));
        let bytes = map(&[
            ("t", b"\xa7welcome"),
            ("re", b"\x01"),
            (
                "connection",
                &map(&[("connectionId", b"\xa1c"), ("creationTime", b"\x01")]),
            ),
            ("session", session),
            ("capabilities", &map(&rights)),
            ("connections", b"\x90"),
            ("streams", b"\x90"),
            ("resume", b"\xa1r"),
            ("resumed", b"\xc2"),
            ("keepAliveMs", b"\x01"),
            ("graceMs", b"\x01"),
        ]);
        match decode(&bytes) {
            Ok(Some(ServerMessage::Welcome(message))) => message.session.e2ee,
            other => panic!("{other:?}"),
        }
    };
    let id: (&str, &[u8]) = ("sessionId", b"\xa1s");
    assert_eq!(
        welcome(&session(&[id, ("e2ee", b"\xc3")])),
        Some(Said::Flag(true))
    );
    assert_eq!(
        welcome(&session(&[id, ("e2ee", b"\xa3yes")])),
        Some(Said::Text("yes".into()))
    );
    assert_eq!(
        welcome(&session(&[id, ("e2ee", b"\x01")])),
        Some(Said::Nothing)
    );
    assert_eq!(welcome(&session(&[id])), None);
}

#[test]
fn nothing_that_people_write_is_printed() {
    let bytes = created(&[
        ("connectionId", b"\xa1c"),
        ("creationTime", b"\x05"),
        ("data", b"\xa7private"),
    ]);
    assert!(!format!("{:?}", decode(&bytes)).contains("private"));
}

proptest! {
    #[test]
    fn any_bytes_are_a_message_or_refused(bytes in any::<Vec<u8>>()) {
        let _ = decode(&bytes);
    }

    #[test]
    fn any_value_of_a_member_is_taken_or_refused(bytes in any::<Vec<u8>>()) {
        let _ = decode(&map(&[KIND, ("connection", &bytes)]));
    }
}
