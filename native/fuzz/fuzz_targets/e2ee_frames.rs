//! Clients decrypt what the server sends: no bytes of its own open, and what was encrypted comes
//! back, whatever its codec's bitstream is.
#![no_main]

use std::sync::{LazyLock, Mutex};
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use sealroute_e2ee::{
    Codec, EncryptionSecret, Encryptor, Owner, Publication, Receiver, SecretRing, SessionKey,
    SubscriptionKey,
};

struct Call {
    encryptor: Encryptor,
    receiver: Receiver<SecretRing>,
    media: SubscriptionKey,
    signals: SubscriptionKey,
}

static CALL: LazyLock<Mutex<Call>> = LazyLock::new(|| {
    let secret = EncryptionSecret::new("no fuzzer guesses this").expect("is long enough");
    let key = SessionKey::derive(&secret, "session").expect("the id is short");
    let connection_id = "connection".to_owned();
    let mut publication = Publication::new(&connection_id, "stream").expect("there is randomness");
    let encryptor = publication.encryptor(&key).expect("the first of 65,536");
    let mut receiver = Receiver::new(SecretRing::new(key));
    let stream_id = "stream".to_owned();
    let media = receiver.subscribe(Owner::Stream {
        connection_id: connection_id.clone(),
        stream_id,
    });
    let signals = receiver.subscribe(Owner::Signals { connection_id });
    Mutex::new(Call {
        encryptor,
        receiver,
        media,
        signals,
    })
});

const CODECS: [Codec; 5] = [Codec::Opus, Codec::Vp8, Codec::Vp9, Codec::H264, Codec::Av1];

fuzz_target!(|input: &[u8]| {
    let Some((choice, frame)) = input.split_first() else {
        return;
    };
    let codec = CODECS[usize::from(*choice) % CODECS.len()];
    let mut call = CALL.lock().expect("a panic ends the run");
    let Call {
        encryptor,
        receiver,
        media,
        signals,
    } = &mut *call;
    let mut open = |wire: &[u8]| receiver.open(*media, codec, wire, Duration::ZERO);
    assert!(open(frame).is_err());
    if let Ok(wire) = encryptor.encrypt(codec, frame) {
        let opened = open(&wire).expect("it was encrypted here");
        if codec == Codec::H264 {
            // In its canonical form, which encrypts to itself.
            let again = encryptor.encrypt(codec, &opened).expect("it has a slice");
            assert_eq!(open(&again).expect("it was encrypted here"), opened);
        } else {
            assert_eq!(opened, frame);
        }
        assert!(open(&wire).is_err());
    }
    assert!(
        receiver
            .open_signal(*signals, "me", frame, Duration::ZERO)
            .is_err()
    );
});
