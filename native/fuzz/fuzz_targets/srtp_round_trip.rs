//! A protected packet is unprotected once, to the same bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealroute_transport::{
    MAX_OVERHEAD_BYTES, SrtpError, SrtpKeys, SrtpProfile, SrtpReceiver, SrtpSender,
};

fuzz_target!(|packet: &[u8]| {
    for profile in SrtpProfile::ALL {
        let keys = SrtpKeys {
            key: &[7; 32][..profile.key_bytes()],
            salt: &[9; 14][..profile.salt_bytes()],
        };
        let mut sender = SrtpSender::new(profile, keys).unwrap();
        let mut receiver = SrtpReceiver::new(profile, keys).unwrap();
        let mut slot = vec![0; packet.len() + MAX_OVERHEAD_BYTES];
        if let Ok(length) = sender.protect_rtp(packet, &[], &mut slot) {
            let mut again = slot[..length].to_vec();
            assert_eq!(
                receiver.unprotect_rtp(&mut slot[..length]),
                Ok(packet.len())
            );
            assert_eq!(slot[..packet.len()], *packet);
            assert_eq!(receiver.unprotect_rtp(&mut again), Err(SrtpError::Replayed));
        }
        if let Ok(length) = sender.protect_rtcp(packet, &mut slot) {
            assert_eq!(
                receiver.unprotect_rtcp(&mut slot[..length]),
                Ok(packet.len())
            );
            assert_eq!(slot[..packet.len()], *packet);
        }
    }
});
