//! What a server sends to a client is a message of the protocol, or refused with a name that this
//! client knows, whatever the bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealroute_protocol::decode;

fuzz_target!(|bytes: &[u8]| match decode(bytes) {
    Ok(Some(message)) => assert!(format!("{message:?}").len() < 100),
    Ok(None) => {}
    Err(refused) => assert!(refused.kind.len() < 64 && refused.path.len() < 64),
});
