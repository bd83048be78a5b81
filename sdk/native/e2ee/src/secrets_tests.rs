//! Secrets that come and go, what they open meanwhile, and what is never shown.

use std::time::Duration;

use proptest::prelude::{Just, Strategy, any, prop, prop_assert_eq, prop_oneof, proptest};

use crate::{
    Codec, EncryptionSecret, Encryptor, FrameKey, KeyId, KeyPart, Owner, Publication, Receiver,
    Refusal, SecretError, SecretRing, SendingError, SessionKey, SignalContent, SignalEncryptor,
    SubscriptionKey, UnnamedPublication,
};

fn key(secret: &str) -> SessionKey {
    let secret = EncryptionSecret::new(secret).unwrap();
    SessionKey::derive_with(&secret, "session", 1).unwrap()
}

fn seconds(s: u64) -> Duration {
    Duration::from_secs(s)
}

fn stream() -> Owner {
    Owner::Stream {
        connection_id: "connection".into(),
        stream_id: "stream".into(),
    }
}

fn publication() -> Publication {
    Publication::new("connection", "stream").unwrap()
}

fn receiver(secret: &str) -> (Receiver<SecretRing>, SubscriptionKey) {
    let mut receiver = Receiver::new(SecretRing::new(key(secret)));
    let subscription = receiver.subscribe(stream());
    (receiver, subscription)
}

const ONE: &str = "the first secret";
const TWO: &str = "the second secret";
const OPUS: &[u8] = b"\x78some audio";

#[test]
fn a_secret_is_counted_before_it_is_normalized() {
    let accepts = |text: &str| EncryptionSecret::new(text).is_ok();
    assert!(!accepts("1234567"));
    assert!(accepts("12345678"));
    assert!(accepts(&"\u{1F511}".repeat(8)));
    assert!(accepts(&"x".repeat(256)));
    assert_eq!(
        EncryptionSecret::new(&"x".repeat(257)).err(),
        Some(SecretError::Length)
    );
    // Seven after normalizing.
    assert!(accepts("pa\u{308}sswor"));
}

#[test]
fn nothing_of_a_key_is_printed() {
    let session = key(ONE);
    let mut publication = publication();
    let encryptor = publication.encryptor(&session).unwrap();
    let content = SignalContent {
        to: String::new(),
        kind: "k".into(),
        data: "private".into(),
    };
    let frame_key = FrameKey::new(&[0x61; 64], KeyId::new(1, 2, KeyPart(3)));
    let shown = format!(
        "{:?} {session:?} {encryptor:?} {content:?} {frame_key:?} {:?}",
        EncryptionSecret::new(ONE),
        SecretRing::new(key(TWO)),
    );
    assert!(
        !shown.contains("secret\"") && !shown.contains("private"),
        "{shown}"
    );
    for bytes in [session.bytes(), frame_key.parts().0, frame_key.parts().1] {
        let listed = format!("{:?}", &bytes[..4]);
        assert!(!shown.contains(&listed[1..listed.len() - 1]), "{shown}");
    }
    assert!(!shown.contains(ONE), "{shown}");
}

#[test]
fn an_old_secret_opens_until_ten_seconds_after_its_last_frame() {
    let (mut receiver, on) = receiver(ONE);
    let mut old = publication().encryptor(&key(ONE)).unwrap();
    let mut open = |receiver: &mut Receiver<SecretRing>, s| {
        let wire = old.encrypt(Codec::Opus, OPUS).unwrap();
        receiver.open(on, Codec::Opus, &wire, seconds(s)).err()
    };
    assert_eq!(open(&mut receiver, 1), None);
    assert!(receiver.source().set(key(TWO), false, seconds(100)));
    assert_eq!(open(&mut receiver, 109), None);
    assert_eq!(open(&mut receiver, 118), None);
    assert_eq!(receiver.source().next_end(), Some(seconds(128)));
    assert_eq!(open(&mut receiver, 128), Some(Refusal::Secret));
}

#[test]
fn an_old_secret_ends_a_minute_after_the_change_whatever_comes() {
    let (mut receiver, on) = receiver(ONE);
    let mut old = publication().encryptor(&key(ONE)).unwrap();
    receiver.source().set(key(TWO), false, seconds(0));
    for s in 1..62 {
        let wire = old.encrypt(Codec::Opus, OPUS).unwrap();
        let result = receiver.open(on, Codec::Opus, &wire, seconds(s)).err();
        assert_eq!(result, (s >= 60).then_some(Refusal::Secret), "{s} s");
    }
}

#[test]
fn an_immediate_change_ends_the_old_secret_at_once() {
    let (mut receiver, on) = receiver(ONE);
    let mut old = publication().encryptor(&key(ONE)).unwrap();
    let wire = old.encrypt(Codec::Opus, OPUS).unwrap();
    assert!(receiver.open(on, Codec::Opus, &wire, seconds(0)).is_ok());
    receiver.source().set(key(TWO), true, seconds(1));
    let wire = old.encrypt(Codec::Opus, OPUS).unwrap();
    let refused = receiver.open(on, Codec::Opus, &wire, seconds(1));
    assert_eq!(refused, Err(Refusal::Secret));
}

#[test]
fn three_secrets_are_held_and_the_newest_again_changes_nothing() {
    let mut ring = SecretRing::new(key(ONE));
    assert!(!ring.set(key(ONE), false, seconds(0)));
    assert_eq!(ring.next_end(), None);
    for (s, secret) in [(1, TWO), (2, "the third secret"), (3, "the fourth secret")] {
        assert!(ring.set(key(secret), false, seconds(s)));
    }
    assert!(ring.with_hint(key(ONE).hint()).is_none());
    assert!(ring.with_hint(key(TWO).hint()).is_some());
    assert!(ring.set(key(TWO), false, seconds(4)));
    assert_eq!(ring.newest().hint(), key(TWO).hint());
}

#[test]
fn nothing_plays_again_when_a_secret_comes_back() {
    let (mut receiver, on) = receiver(ONE);
    let mut sender = publication().encryptor(&key(ONE)).unwrap();
    let wire = sender.encrypt(Codec::Opus, OPUS).unwrap();
    assert!(receiver.open(on, Codec::Opus, &wire, seconds(0)).is_ok());
    receiver.source().set(key(TWO), true, seconds(1));
    receiver.source().set(key(ONE), true, seconds(2));
    let again = receiver.subscribe(stream());
    for subscription in [on, again] {
        let refused = receiver.open(subscription, Codec::Opus, &wire, seconds(3));
        assert_eq!(refused, Err(Refusal::Replay));
    }
}

#[test]
fn forged_key_ids_cost_twenty_derivations_a_second() {
    let (mut receiver, on) = receiver(ONE);
    let mut forged = Encryptor::new(FrameKey::new(&[0; 64], KeyId::new(1, 0, key(ONE).hint())));
    let mut real = publication().encryptor(&key(ONE)).unwrap();
    for _ in 0..20 {
        let wire = forged.encrypt(Codec::Opus, OPUS).unwrap();
        let refused = receiver.open(on, Codec::Opus, &wire, seconds(0));
        assert_eq!(refused, Err(Refusal::Auth));
    }
    let wire = real.encrypt(Codec::Opus, OPUS).unwrap();
    let mut open = |s| receiver.open(on, Codec::Opus, &wire, seconds(s));
    assert_eq!(open(0), Err(Refusal::Auth));
    assert!(open(1).is_ok());
}

#[test]
fn a_key_ends_with_its_last_counter() {
    let frame_key = FrameKey::new(&[0; 64], KeyId::new(1, 0, KeyPart(0)));
    let mut encryptor = Encryptor::counting_from(frame_key, u64::from(u32::MAX));
    assert!(encryptor.encrypt(Codec::Opus, OPUS).is_ok());
    for _ in 0..2 {
        let refused = encryptor.encrypt(Codec::Opus, OPUS);
        assert_eq!(refused, Err(SendingError::CounterExhausted));
    }
}

#[test]
fn a_signal_opens_for_its_addressee_also_after_a_switch() {
    let mut receiver = Receiver::new(SecretRing::new(key(ONE)));
    let on = receiver.subscribe(Owner::Signals {
        connection_id: "a".into(),
    });
    let mut sender = SignalEncryptor::new("a", &key(ONE)).unwrap();
    let content = SignalContent {
        to: "b".into(),
        kind: "chat".into(),
        data: "hello".into(),
    };
    let wire = sender.encrypt(&content).unwrap();
    let opened = receiver.open_signal(on, "b", &wire, seconds(0));
    assert_eq!(opened, Ok(content.clone()));
    sender.switch(&key(TWO)).unwrap();
    receiver.source().set(key(TWO), false, seconds(1));
    let wire = sender.encrypt(&content).unwrap();
    assert_eq!(
        receiver.open_signal(on, "b", &wire, seconds(1)),
        Ok(content)
    );
    let long = SignalContent {
        to: String::new(),
        kind: "x".repeat(65_536),
        data: String::new(),
    };
    assert_eq!(sender.encrypt(&long), Err(SendingError::TooLong));
}

const CODECS: [Codec; 5] = [Codec::Opus, Codec::Vp8, Codec::Vp9, Codec::H264, Codec::Av1];

fn frames() -> impl Strategy<Value = Vec<u8>> {
    let bytes = || {
        proptest::collection::vec(
            prop_oneof![2 => Just(0_u8), 1 => 0_u8..4, 2 => any::<u8>()],
            1..80,
        )
    };
    prop_oneof![
        bytes(),
        bytes().prop_map(|body| [&b"\0\0\0\x01\x67\x42\0\0\x01\x65\x88\x84"[..], &body].concat()),
        bytes().prop_map(|body| [&[0x12, 0, 0x32, body.len() as u8][..], &body].concat()),
    ]
}

proptest! {
    #[test]
    fn what_was_encrypted_comes_back(frame in frames(), which in 0_usize..5) {
        let codec = CODECS[which];
        let (mut receiver, on) = receiver(ONE);
        let mut sender = publication().encryptor(&key(ONE)).unwrap();
        if let Ok(wire) = sender.encrypt(codec, &frame) {
            let opened = receiver.open(on, codec, &wire, seconds(0)).unwrap();
            if codec == Codec::H264 {
                let again = sender.encrypt(codec, &opened).unwrap();
                prop_assert_eq!(receiver.open(on, codec, &again, seconds(0)), Ok(opened));
            } else {
                prop_assert_eq!(opened, frame);
            }
        }
    }

    #[test]
    fn a_changed_frame_does_not_open(frame in frames(), which in 0_usize..5, at in any::<prop::sample::Index>(), bit in 0_u8..8) {
        let codec = CODECS[which];
        let (mut receiver, on) = receiver(ONE);
        let mut sender = publication().encryptor(&key(ONE)).unwrap();
        if let Ok(wire) = sender.encrypt(codec, &frame) {
            let mut changed = wire.clone();
            let at = at.index(changed.len());
            changed[at] ^= 1 << bit;
            if let Ok(opened) = receiver.open(on, codec, &changed, seconds(0)) {
                // Only what is around the SFrame is not authenticated.
                let (mut fresh, on) = self::receiver(ONE);
                prop_assert_eq!(Ok(opened), fresh.open(on, codec, &wire, seconds(0)));
                prop_assert_eq!(matches!(codec, Codec::H264 | Codec::Av1), true);
            }
        }
    }
}

#[test]
fn a_key_id_that_was_chosen_before_the_stream_had_a_name_is_used_once_and_for_its_secret() {
    let mut unnamed = UnnamedPublication::new().unwrap();
    let (first, second) = (key(ONE), key(TWO));
    let chosen = unnamed.choose(first.hint()).unwrap();
    let declared = chosen.key_id();
    let other = unnamed.choose(second.hint()).unwrap();
    let foreign = UnnamedPublication::new()
        .unwrap()
        .choose(first.hint())
        .unwrap();
    let mut publication = unnamed.named("connection", "stream");
    let mut encryptor = publication.encryptor_under(chosen, &first).unwrap();
    assert_eq!(encryptor.key_id(), declared);
    let wire = encryptor.encrypt(Codec::Opus, OPUS).unwrap();
    let (mut receiver, subscription) = receiver(ONE);
    let opened = receiver.open(subscription, Codec::Opus, &wire, seconds(0));
    assert_eq!(opened.as_deref(), Ok(OPUS));
    for wrong in [other, foreign] {
        let refused = publication.encryptor_under(wrong, &first).err();
        assert_eq!(refused, Some(SendingError::OtherKeyId));
    }
}
