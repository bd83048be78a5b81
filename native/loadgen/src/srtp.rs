//! The SRTP contexts of a client, from its job.

use crate::Error;
use crate::job::{SrtpJob, unhex};
use sealroute_transport::{SrtpKeys, SrtpProfile, SrtpReceiver, SrtpSender};

/// The contexts of both directions of a transport.
///
/// # Errors
/// `Job`: unknown profile, or a key or salt of a wrong length.
pub fn contexts(job: &SrtpJob) -> Result<(SrtpSender, SrtpReceiver), Error> {
    let profile = SrtpProfile::from_name(&job.profile)
        .ok_or_else(|| Error::Job(format!("unknown SRTP profile {}", job.profile)))?;
    let bytes = |text: &str| unhex(text).ok_or_else(wrong_length);
    let (key, salt) = (bytes(&job.local_key)?, bytes(&job.local_salt)?);
    let keys = SrtpKeys {
        key: &key,
        salt: &salt,
    };
    let sender = SrtpSender::new(profile, keys).map_err(|_| wrong_length())?;
    let (key, salt) = (bytes(&job.remote_key)?, bytes(&job.remote_salt)?);
    let keys = SrtpKeys {
        key: &key,
        salt: &salt,
    };
    let receiver = SrtpReceiver::new(profile, keys).map_err(|_| wrong_length())?;
    Ok((sender, receiver))
}

fn wrong_length() -> Error {
    Error::Job("SRTP key or salt has a wrong length".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(profile: &str, key_bytes: usize) -> SrtpJob {
        SrtpJob {
            profile: profile.into(),
            local_key: "0b".repeat(key_bytes),
            local_salt: "a5".repeat(12),
            remote_key: "0c".repeat(key_bytes),
            remote_salt: "a6".repeat(12),
        }
    }

    #[test]
    fn the_other_side_unprotects_what_a_client_protects() {
        let client = job("SRTP_AEAD_AES_128_GCM", 16);
        let server = SrtpJob {
            profile: client.profile.clone(),
            local_key: client.remote_key.clone(),
            local_salt: client.remote_salt.clone(),
            remote_key: client.local_key.clone(),
            remote_salt: client.local_salt.clone(),
        };
        let (mut sender, mut own_receiver) = contexts(&client).unwrap();
        let (_, mut receiver) = contexts(&server).unwrap();
        let mut slot = [0; 100];
        let header = [0x80, 96, 0, 1, 0, 0, 0, 1, 0, 0, 0, 9];
        let length = sender.protect_rtp(&header, &[1; 40], &mut slot).unwrap();
        let mut reflected = slot;
        assert!(
            own_receiver
                .unprotect_rtp(&mut reflected[..length])
                .is_err()
        );
        assert_eq!(receiver.unprotect_rtp(&mut slot[..length]), Ok(52));
    }

    #[test]
    fn unknown_profiles_and_keys_of_a_wrong_length_are_errors_of_the_job() {
        for job in [job("SRTP_NULL", 16), job("SRTP_AEAD_AES_256_GCM", 16)] {
            assert!(matches!(contexts(&job), Err(Error::Job(_))));
        }
    }
}
