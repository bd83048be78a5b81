//! SRTP and SRTCP of one client (RFC 3711, RFC 7714): no replay list, because a load client
//! counts duplicates by their stamps.

use crate::Error;
use crate::job::{SrtpJob, unhex};
use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{self, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::hmac;
use std::collections::HashMap;

const GCM_TAG_BYTES: usize = 16;
const CM_TAG_BYTES: usize = 10;
const INDEX_BYTES: usize = 4;
const RTCP_HEADER_BYTES: usize = 8;
/// The most a sealed packet grows.
pub const OVERHEAD_BYTES: usize = GCM_TAG_BYTES + INDEX_BYTES;

#[derive(Clone, Copy, PartialEq, Eq)]
struct Profile {
    gcm: bool,
    key_bytes: usize,
    salt_bytes: usize,
}

fn profile(name: &str) -> Result<Profile, Error> {
    match name {
        "SRTP_AEAD_AES_128_GCM" => Ok(Profile {
            gcm: true,
            key_bytes: 16,
            salt_bytes: 12,
        }),
        "SRTP_AEAD_AES_256_GCM" => Ok(Profile {
            gcm: true,
            key_bytes: 32,
            salt_bytes: 12,
        }),
        "SRTP_AES128_CM_SHA1_80" => Ok(Profile {
            gcm: false,
            key_bytes: 16,
            salt_bytes: 14,
        }),
        _ => Err(Error::Job(format!("unknown SRTP profile {name}"))),
    }
}

enum Cipher {
    Gcm(LessSafeKey),
    Cm(Box<(EncryptingKey, hmac::Key)>),
}

/// Session key and salt of RTP or of RTCP in one direction.
struct Half {
    cipher: Cipher,
    salt: [u8; 14],
}

fn counter_key(key: &[u8]) -> Result<EncryptingKey, Error> {
    let algorithm = if key.len() == 32 {
        &cipher::AES_256
    } else {
        &cipher::AES_128
    };
    let key = UnboundCipherKey::new(algorithm, key).map_err(|_| Error::Crypto)?;
    EncryptingKey::ctr(key).map_err(|_| Error::Crypto)
}

fn apply_counter(key: &EncryptingKey, iv: [u8; 16], bytes: &mut [u8]) -> Result<(), Error> {
    let context = EncryptionContext::Iv128((&iv).into());
    key.less_safe_encrypt(bytes, context)
        .map(|_| ())
        .map_err(|_| Error::Crypto)
}

/// RFC 3711, 4.3: key derivation with rate 0.
fn derive(master: &EncryptingKey, salt: &[u8; 14], label: u8, out: &mut [u8]) -> Result<(), Error> {
    let mut iv = [0; 16];
    iv[..14].copy_from_slice(salt);
    iv[7] ^= label;
    out.fill(0);
    apply_counter(master, iv, out)
}

impl Half {
    fn new(profile: Profile, master: &[u8], salt: &[u8], first_label: u8) -> Result<Self, Error> {
        let key = counter_key(master)?;
        let mut master_salt = [0; 14];
        master_salt[..salt.len()].copy_from_slice(salt);
        let mut session_key = [0; 32];
        let session_key = &mut session_key[..profile.key_bytes];
        derive(&key, &master_salt, first_label, session_key)?;
        let mut session_salt = [0; 14];
        derive(
            &key,
            &master_salt,
            first_label + 2,
            &mut session_salt[..profile.salt_bytes],
        )?;
        let cipher = if profile.gcm {
            let algorithm = if session_key.len() == 32 {
                &AES_256_GCM
            } else {
                &AES_128_GCM
            };
            let key = UnboundKey::new(algorithm, session_key).map_err(|_| Error::Crypto)?;
            Cipher::Gcm(LessSafeKey::new(key))
        } else {
            let mut auth = [0; 20];
            derive(&key, &master_salt, first_label + 1, &mut auth)?;
            let auth = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &auth);
            Cipher::Cm(Box::new((counter_key(session_key)?, auth)))
        };
        Ok(Self {
            cipher,
            salt: session_salt,
        })
    }

    fn gcm_nonce(&self, ssrc: u32, index: u64) -> Nonce {
        let mut nonce = [0; 12];
        nonce[2..6].copy_from_slice(&ssrc.to_be_bytes());
        nonce[6..].copy_from_slice(&index.to_be_bytes()[2..]);
        for (byte, salt) in nonce.iter_mut().zip(&self.salt) {
            *byte ^= salt;
        }
        Nonce::assume_unique_for_key(nonce)
    }

    fn cm_iv(&self, ssrc: u32, index: u64) -> [u8; 16] {
        let mut iv = [0; 16];
        iv[..14].copy_from_slice(&self.salt);
        for (byte, value) in iv[4..8].iter_mut().zip(ssrc.to_be_bytes()) {
            *byte ^= value;
        }
        for (byte, value) in iv[8..14].iter_mut().zip(&index.to_be_bytes()[2..]) {
            *byte ^= value;
        }
        iv
    }
}

fn cm_tag(key: &hmac::Key, parts: [&[u8]; 2]) -> [u8; CM_TAG_BYTES] {
    let mut context = hmac::Context::with_key(key);
    for part in parts {
        context.update(part);
    }
    let mut tag = [0; CM_TAG_BYTES];
    tag.copy_from_slice(&context.sign().as_ref()[..CM_TAG_BYTES]);
    tag
}

/// Bytes of an RTP header with CSRCs and extension; `None` for what is no RTP packet.
pub fn rtp_header_bytes(packet: &[u8]) -> Option<usize> {
    let first = *packet.first()?;
    if first >> 6 != 2 {
        return None;
    }
    let mut length = 12 + 4 * usize::from(first & 15);
    if first & 0x10 != 0 {
        let words = packet.get(length + 2..length + 4)?;
        length += 4 + 4 * usize::from(u16::from_be_bytes([words[0], words[1]]));
    }
    (length <= packet.len()).then_some(length)
}

fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// Seals what a client sends.
pub struct Sealer {
    rtp: Half,
    rtcp: Half,
    rtcp_index: u32,
}

/// Opens what a client receives.
pub struct Opener {
    rtp: Half,
    rtcp: Half,
    /// Highest index by SSRC (RFC 3711, appendix A).
    highest: HashMap<u32, u64>,
}

/// Both directions of a transport.
pub fn both(job: &SrtpJob) -> Result<(Sealer, Opener), Error> {
    let profile = profile(&job.profile)?;
    let half = |key: &str, salt: &str, label: u8| -> Result<Half, Error> {
        let key = unhex(key).filter(|key| key.len() == profile.key_bytes);
        let salt = unhex(salt).filter(|salt| salt.len() == profile.salt_bytes);
        let (Some(key), Some(salt)) = (key, salt) else {
            return Err(Error::Job("SRTP key or salt has a wrong length".into()));
        };
        Half::new(profile, &key, &salt, label)
    };
    let sealer = Sealer {
        rtp: half(&job.local_key, &job.local_salt, 0)?,
        rtcp: half(&job.local_key, &job.local_salt, 3)?,
        rtcp_index: 0,
    };
    let opener = Opener {
        rtp: half(&job.remote_key, &job.remote_salt, 0)?,
        rtcp: half(&job.remote_key, &job.remote_salt, 3)?,
        highest: HashMap::new(),
    };
    Ok((sealer, opener))
}

impl Sealer {
    /// Seals `packet[..length]` in place with the full index `roc << 16 | seq`; returns its new
    /// length. `packet` must have room for the tag.
    pub fn rtp(&self, packet: &mut [u8], length: usize, index: u64) -> Result<usize, Error> {
        let header = rtp_header_bytes(&packet[..length]).ok_or(Error::Crypto)?;
        let ssrc = be32(packet, 8).ok_or(Error::Crypto)?;
        match &self.rtp.cipher {
            Cipher::Gcm(key) => {
                let (head, rest) = packet.split_at_mut(header);
                let body = &mut rest[..length - header];
                let nonce = self.rtp.gcm_nonce(ssrc, index);
                let tag = key
                    .seal_in_place_separate_tag(nonce, Aad::from(&*head), body)
                    .map_err(|_| Error::Crypto)?;
                rest[length - header..][..GCM_TAG_BYTES].copy_from_slice(tag.as_ref());
                Ok(length + GCM_TAG_BYTES)
            }
            Cipher::Cm(keys) => {
                let (key, auth) = &**keys;
                let iv = self.rtp.cm_iv(ssrc, index);
                apply_counter(key, iv, &mut packet[header..length])?;
                let roc = ((index >> 16) as u32).to_be_bytes();
                let tag = cm_tag(auth, [&packet[..length], &roc]);
                packet[length..length + CM_TAG_BYTES].copy_from_slice(&tag);
                Ok(length + CM_TAG_BYTES)
            }
        }
    }

    /// A sealed copy of an RTCP compound packet.
    pub fn rtcp(&mut self, compound: &[u8]) -> Result<Vec<u8>, Error> {
        let ssrc = be32(compound, 4).ok_or(Error::Crypto)?;
        let index = self.rtcp_index;
        self.rtcp_index = (self.rtcp_index + 1) & 0x7fff_ffff;
        let word = (index | 0x8000_0000).to_be_bytes();
        let mut out = compound.to_vec();
        match &self.rtcp.cipher {
            Cipher::Gcm(key) => {
                let mut aad = compound[..RTCP_HEADER_BYTES].to_vec();
                aad.extend_from_slice(&word);
                let nonce = self.rtcp.gcm_nonce(ssrc, u64::from(index));
                let body = &mut out[RTCP_HEADER_BYTES..];
                let tag = key
                    .seal_in_place_separate_tag(nonce, Aad::from(&aad), body)
                    .map_err(|_| Error::Crypto)?;
                out.extend_from_slice(tag.as_ref());
                out.extend_from_slice(&word);
            }
            Cipher::Cm(keys) => {
                let (key, auth) = &**keys;
                let iv = self.rtcp.cm_iv(ssrc, u64::from(index));
                apply_counter(key, iv, &mut out[RTCP_HEADER_BYTES..])?;
                out.extend_from_slice(&word);
                let tag = cm_tag(auth, [&out, &[]]);
                out.extend_from_slice(&tag);
            }
        }
        Ok(out)
    }
}

fn guess_index(highest: u64, sequence: u16) -> u64 {
    let roc = highest >> 16;
    let low = highest as u16;
    let roc = if low < 0x8000 && sequence.wrapping_sub(low) >= 0x8000 && sequence > low {
        roc.saturating_sub(1)
    } else if low >= 0x8000 && sequence < low - 0x8000 {
        roc + 1
    } else {
        roc
    };
    roc << 16 | u64::from(sequence)
}

impl Opener {
    /// Opens an RTP packet in place; the payload's range in it and the full index.
    pub fn rtp(&mut self, packet: &mut [u8]) -> Option<(std::ops::Range<usize>, u64)> {
        let header = rtp_header_bytes(packet)?;
        let ssrc = be32(packet, 8)?;
        let sequence = u16::from_be_bytes([packet[2], packet[3]]);
        let highest = self
            .highest
            .get(&ssrc)
            .copied()
            .unwrap_or(u64::from(sequence));
        let index = guess_index(highest, sequence);
        let end = self.open_rtp(packet, header, ssrc, index)?;
        self.highest.insert(ssrc, highest.max(index));
        Some((header..end, index))
    }

    fn open_rtp(&self, packet: &mut [u8], header: usize, ssrc: u32, index: u64) -> Option<usize> {
        match &self.rtp.cipher {
            Cipher::Gcm(key) => {
                let (head, body) = packet.split_at_mut(header);
                let nonce = self.rtp.gcm_nonce(ssrc, index);
                let plain = key.open_in_place(nonce, Aad::from(&*head), body).ok()?;
                Some(header + plain.len())
            }
            Cipher::Cm(keys) => {
                let (key, auth) = &**keys;
                let end = packet
                    .len()
                    .checked_sub(CM_TAG_BYTES)
                    .filter(|end| *end >= header)?;
                let roc = ((index >> 16) as u32).to_be_bytes();
                if cm_tag(auth, [&packet[..end], &roc]) != packet[end..] {
                    return None;
                }
                apply_counter(key, self.rtp.cm_iv(ssrc, index), &mut packet[header..end]).ok()?;
                Some(end)
            }
        }
    }

    /// Opens an RTCP packet in place; its compound's length.
    pub fn rtcp(&self, packet: &mut [u8]) -> Option<usize> {
        let ssrc = be32(packet, 4)?;
        match &self.rtcp.cipher {
            Cipher::Gcm(key) => {
                let end = packet.len().checked_sub(INDEX_BYTES)?;
                let word = be32(packet, end)?;
                let mut aad = packet.get(..RTCP_HEADER_BYTES)?.to_vec();
                aad.extend_from_slice(&word.to_be_bytes());
                let nonce = self.rtcp.gcm_nonce(ssrc, u64::from(word & 0x7fff_ffff));
                let body = packet.get_mut(RTCP_HEADER_BYTES..end)?;
                let plain = key.open_in_place(nonce, Aad::from(&aad), body).ok()?;
                Some(RTCP_HEADER_BYTES + plain.len())
            }
            Cipher::Cm(keys) => {
                let (key, auth) = &**keys;
                let signed = packet.len().checked_sub(CM_TAG_BYTES)?;
                let end = signed.checked_sub(INDEX_BYTES).filter(|end| *end >= 8)?;
                if cm_tag(auth, [&packet[..signed], &[]]) != packet[signed..] {
                    return None;
                }
                let word = be32(packet, end)? & 0x7fff_ffff;
                let iv = self.rtcp.cm_iv(ssrc, u64::from(word));
                apply_counter(key, iv, &mut packet[RTCP_HEADER_BYTES..end]).ok()?;
                Some(end)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(name: &str) -> (Sealer, Opener) {
        let profile = profile(name).unwrap();
        let key = "0b".repeat(profile.key_bytes);
        let salt = "a5".repeat(profile.salt_bytes);
        let job = SrtpJob {
            profile: name.into(),
            local_key: key.clone(),
            local_salt: salt.clone(),
            remote_key: key,
            remote_salt: salt,
        };
        both(&job).unwrap()
    }

    const PROFILES: [&str; 3] = [
        "SRTP_AEAD_AES_128_GCM",
        "SRTP_AEAD_AES_256_GCM",
        "SRTP_AES128_CM_SHA1_80",
    ];

    #[test]
    fn session_keys_are_those_of_rfc_3711_b_3() {
        let master = unhex("E1F97A0D3E018BE0D64FA32C06DE4139").unwrap();
        let salt: [u8; 14] = unhex("0EC675AD498AFEEBB6960B3AABE6")
            .unwrap()
            .try_into()
            .unwrap();
        let key = counter_key(&master).unwrap();
        let mut out = [0; 16];
        derive(&key, &salt, 0, &mut out).unwrap();
        assert_eq!(
            out.to_vec(),
            unhex("C61E7A93744F39EE10734AFE3FF7A087").unwrap()
        );
        let mut out = [0; 14];
        derive(&key, &salt, 2, &mut out).unwrap();
        assert_eq!(out.to_vec(), unhex("30CBBC08863D8C85D49DB34A9AE1").unwrap());
        let mut out = [0; 20];
        derive(&key, &salt, 1, &mut out).unwrap();
        assert_eq!(
            out.to_vec(),
            unhex("CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4").unwrap()
        );
    }

    #[test]
    fn packets_open_again_across_a_sequence_wrap_and_reordering() {
        for name in PROFILES {
            let (sealer, mut opener) = pair(name);
            for index in [
                65_530_u64, 65_531, 65_537, 65_535, 65_540, 98_000, 130_000, 131_073,
            ] {
                let mut packet = vec![0x80, 96, (index >> 8) as u8, index as u8];
                packet.extend_from_slice(&[0, 0, 0, 1, 0, 0, 0, 9]);
                packet.extend_from_slice(&[0x42; 50]);
                packet.resize(62 + OVERHEAD_BYTES, 0);
                let length = sealer.rtp(&mut packet, 62, index).unwrap();
                let mut changed = packet[..length].to_vec();
                changed[length - 1] ^= 1;
                assert!(opener.rtp(&mut changed).is_none(), "{name}");
                let (range, found) = opener.rtp(&mut packet[..length]).unwrap();
                assert_eq!((range.clone(), found), (12..62, index), "{name}");
                assert_eq!(packet[range], [0x42; 50]);
            }
        }
    }

    #[test]
    fn control_packets_open_again_and_changed_ones_do_not() {
        for name in PROFILES {
            let (mut sealer, opener) = pair(name);
            let compound: Vec<u8> = (0..40).map(|at| if at == 0 { 0x81 } else { at }).collect();
            for _ in 0..3 {
                let mut packet = sealer.rtcp(&compound).unwrap();
                let mut changed = packet.clone();
                changed[12] ^= 1;
                assert_eq!(opener.rtcp(&mut changed), None);
                assert_eq!(opener.rtcp(&mut packet), Some(40));
                assert_eq!(packet[..40], compound);
            }
        }
    }

    #[test]
    fn short_bytes_open_to_nothing() {
        for name in PROFILES {
            let (_, mut opener) = pair(name);
            for length in 0..40 {
                let mut bytes = vec![0x9f; length];
                assert!(opener.rtp(&mut bytes).is_none());
                assert!(opener.rtcp(&mut bytes).is_none());
            }
        }
    }
}
