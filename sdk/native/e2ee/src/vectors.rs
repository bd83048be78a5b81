//! The vectors that every SDK shares: `tests/vectors/e2ee-v2-vectors.json`.

use std::time::Duration;

use serde::Deserialize;

use crate::layout::{Outgoing, Received};
use crate::{
    Codec, EncryptionSecret, Encryptor, FrameKey, KeyId, KeyPart, Owner, Receiver, SecretRing,
    SessionKey, SignalContent,
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Vectors {
    format: String,
    suite: u16,
    kdf: Vec<Kdf>,
    kids: Vec<KeyIdRow>,
    key: KeyIdRow,
    frames: Vec<FrameRow>,
    bad: Vec<BadRow>,
    signals: Vec<SignalRow>,
    bad_signals: Vec<BadSignalRow>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kdf {
    secret: String,
    session_id: String,
    iterations: u32,
    session_key: String,
    hint: u16,
    connection_id: String,
    stream_id: String,
    base_key: String,
    signal_base_key: String,
    verification_code: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct KeyIdRow {
    sender: u32,
    context: u16,
    hint: u16,
    kid: String,
    sframe_key: Option<String>,
    sframe_salt: Option<String>,
}

#[derive(Deserialize)]
struct FrameRow {
    codec: String,
    ctr: u32,
    plain: String,
    decrypted: String,
    clear: String,
    wire: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BadRow {
    name: String,
    codec: String,
    connection_id: String,
    stream_id: String,
    wire: String,
    expected: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SignalRow {
    connection_id: String,
    ctr: u32,
    to: String,
    #[serde(rename = "type")]
    kind: String,
    data: String,
    wire: String,
}

#[derive(Deserialize)]
struct BadSignalRow {
    name: String,
    from: String,
    receiver: String,
    wire: String,
    expected: String,
}

fn vectors() -> Vectors {
    let text = include_str!("../../../../tests/vectors/e2ee-v2-vectors.json");
    serde_json::from_str(text).unwrap()
}

fn bytes(hex: &str) -> Vec<u8> {
    let digit = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(digit).collect()
}

fn codec(name: &str) -> Codec {
    match name {
        "opus" => Codec::Opus,
        "vp8" => Codec::Vp8,
        "vp9" => Codec::Vp9,
        "h264" => Codec::H264,
        "av1" => Codec::Av1,
        other => unreachable!("{other}"),
    }
}

fn session_key(row: &Kdf) -> SessionKey {
    let secret = EncryptionSecret::new(&row.secret).unwrap();
    SessionKey::derive_with(&secret, &row.session_id, row.iterations).unwrap()
}

fn key_id(row: &KeyIdRow) -> KeyId {
    KeyId::new(row.sender, row.context, KeyPart(row.hint))
}

fn frame_key(all: &Vectors) -> FrameKey {
    let base = session_key(&all.kdf[0])
        .stream_base("conn-1", "stream-1")
        .unwrap();
    FrameKey::of_base(&base, key_id(&all.key))
}

fn receiver(all: &Vectors) -> Receiver<SecretRing> {
    Receiver::new(SecretRing::new(session_key(&all.kdf[0])))
}

#[test]
fn the_format_is_this_one() {
    let all = vectors();
    assert_eq!(
        (all.format.as_str(), all.suite),
        (sealroute_rules::E2EE_FORMAT, 6)
    );
}

#[test]
fn keys_follow_from_secrets_as_in_the_vectors() {
    for row in vectors().kdf {
        let key = session_key(&row);
        assert_eq!(key.bytes(), bytes(&row.session_key));
        assert_eq!(key.hint(), KeyPart(row.hint));
        assert_eq!(key.verification_code(), row.verification_code);
        let stream = key.stream_base(&row.connection_id, &row.stream_id).unwrap();
        assert_eq!(stream.to_vec(), bytes(&row.base_key));
        let signal = key.signal_base(&row.connection_id).unwrap();
        assert_eq!(signal.to_vec(), bytes(&row.signal_base_key));
    }
}

#[test]
fn derivation_takes_the_iterations_of_the_format() {
    let all = vectors();
    let row = all
        .kdf
        .iter()
        .find(|row| row.iterations == 600_000)
        .unwrap();
    let secret = EncryptionSecret::new(&row.secret).unwrap();
    let key = SessionKey::derive(&secret, &row.session_id).unwrap();
    assert_eq!(key.bytes(), bytes(&row.session_key));
}

#[test]
fn key_ids_and_keys_are_as_in_the_vectors() {
    let all = vectors();
    for row in &all.kids {
        assert_eq!(key_id(row).to_bytes().to_vec(), bytes(&row.kid));
        assert_eq!(key_id(row).sender(), row.sender);
        assert_eq!(key_id(row).context(), row.context);
        assert_eq!(key_id(row).key(), KeyPart(row.hint));
    }
    let key = frame_key(&all);
    let (both, salt) = key.parts();
    assert_eq!(
        Some(both.to_vec()),
        all.key.sframe_key.as_deref().map(bytes)
    );
    assert_eq!(
        Some(salt.to_vec()),
        all.key.sframe_salt.as_deref().map(bytes)
    );
}

#[test]
fn each_frame_is_encrypted_to_the_bytes_of_the_vectors() {
    let all = vectors();
    for row in &all.frames {
        let mut encryptor = Encryptor::counting_from(frame_key(&all), row.ctr.into());
        let (codec, plain) = (codec(&row.codec), bytes(&row.plain));
        assert_eq!(
            Outgoing::of(codec, &plain).unwrap().clear,
            bytes(&row.clear)
        );
        assert_eq!(
            encryptor.encrypt(codec, &plain),
            Ok(bytes(&row.wire)),
            "{} {}",
            row.codec,
            row.ctr
        );
    }
}

#[test]
fn each_frame_opens_once() {
    let all = vectors();
    for row in &all.frames {
        let mut receiver = receiver(&all);
        let subscription = receiver.subscribe(Owner::Stream {
            connection_id: "conn-1".into(),
            stream_id: "stream-1".into(),
        });
        let (codec, wire) = (codec(&row.codec), bytes(&row.wire));
        assert_eq!(Received::of(codec, &wire).unwrap().clear, bytes(&row.clear));
        let mut open = || receiver.open(subscription, codec, &wire, Duration::ZERO);
        assert_eq!(
            open(),
            Ok(bytes(&row.decrypted)),
            "{} {}",
            row.codec,
            row.ctr
        );
        assert_eq!(open(), Err(crate::Refusal::Replay));
    }
}

#[test]
fn each_bad_frame_is_refused_for_its_reason() {
    let all = vectors();
    for row in &all.bad {
        let mut receiver = receiver(&all);
        let subscription = receiver.subscribe(Owner::Stream {
            connection_id: row.connection_id.clone(),
            stream_id: row.stream_id.clone(),
        });
        let opened = receiver.open(
            subscription,
            codec(&row.codec),
            &bytes(&row.wire),
            Duration::ZERO,
        );
        assert_eq!(
            opened.map_err(crate::Refusal::code),
            Err(row.expected.as_str()),
            "{}",
            row.name
        );
    }
}

#[test]
fn each_signal_is_encrypted_and_opens_as_in_the_vectors() {
    let all = vectors();
    for row in &all.signals {
        let content = SignalContent {
            to: row.to.clone(),
            kind: row.kind.clone(),
            data: row.data.clone(),
        };
        let base = session_key(&all.kdf[0])
            .signal_base(&row.connection_id)
            .unwrap();
        let key = FrameKey::of_base(&base, key_id(&all.key));
        let mut encryptor = Encryptor::counting_from(key, row.ctr.into());
        let wire = encryptor
            .encrypt_signal(&content.plaintext().unwrap())
            .unwrap();
        assert_eq!(wire, bytes(&row.wire));
        let mut receiver = receiver(&all);
        let subscription = receiver.subscribe(Owner::Signals {
            connection_id: row.connection_id.clone(),
        });
        let opened = receiver.open_signal(subscription, &row.to, &wire, Duration::ZERO);
        assert_eq!(opened, Ok(content));
    }
}

#[test]
fn no_bad_signal_is_delivered() {
    let all = vectors();
    for row in &all.bad_signals {
        let mut receiver = receiver(&all);
        let subscription = receiver.subscribe(Owner::Signals {
            connection_id: row.from.clone(),
        });
        let opened = receiver.open_signal(
            subscription,
            &row.receiver,
            &bytes(&row.wire),
            Duration::ZERO,
        );
        let code = opened.map_err(crate::SignalRefusal::code);
        assert_eq!(code, Err(row.expected.as_str()), "{}", row.name);
    }
}
