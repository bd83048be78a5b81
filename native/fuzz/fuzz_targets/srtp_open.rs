//! Bytes that were not protected with the keys never authenticate.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealroute_transport::{SrtpKeys, SrtpProfile, SrtpReceiver};

fuzz_target!(|packet: &[u8]| {
    for profile in SrtpProfile::ALL {
        let keys = SrtpKeys {
            key: &[7; 32][..profile.key_bytes()],
            salt: &[9; 14][..profile.salt_bytes()],
        };
        let mut receiver = SrtpReceiver::new(profile, keys).unwrap();
        assert!(receiver.unprotect_rtp(&mut packet.to_vec()).is_err());
        assert!(receiver.unprotect_rtcp(&mut packet.to_vec()).is_err());
    }
});
