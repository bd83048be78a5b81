//! SFrame with its registered suite 6 (RFC 9605 sections 4.4 and 4.5.1).

use std::fmt;

use aes::Aes256;
use ctr::Ctr32BE;
use ctr::cipher::{KeyInit as _, KeyIvInit as _, StreamCipher as _};
use hmac::{Hmac, Mac as _};
use sha2::Sha512;
use zeroize::Zeroizing;

use crate::header::Header;
use crate::session_key::{BaseKey, expand};
use crate::{KeyId, Refusal};

const SUITE: [u8; 2] = [0x00, 0x06];
const CIPHER_KEY: usize = 32;
const AUTHENTICATION_KEY: usize = 64;
const NONCE: usize = 12;
/// Bytes of the tag.
pub(crate) const TAG: usize = 10;

/// The key of one key id of one stream. Wiped when dropped.
pub struct FrameKey {
    key_id: KeyId,
    /// Cipher key, then authentication key.
    key: Zeroizing<[u8; CIPHER_KEY + AUTHENTICATION_KEY]>,
    salt: Zeroizing<[u8; NONCE]>,
}

impl FrameKey {
    /// RFC 9605 section 4.4.2. A base key of a group key agreement fits as well.
    pub fn new(base_key: &[u8; 64], key_id: KeyId) -> Self {
        let mut key = Zeroizing::new([0; CIPHER_KEY + AUTHENTICATION_KEY]);
        let mut salt = Zeroizing::new([0; NONCE]);
        expand(
            base_key,
            &label(b"SFrame 1.0 Secret key ", key_id),
            &mut *key,
        );
        expand(
            base_key,
            &label(b"SFrame 1.0 Secret salt ", key_id),
            &mut *salt,
        );
        Self { key_id, key, salt }
    }

    pub(crate) fn of_base(base_key: &BaseKey, key_id: KeyId) -> Self {
        Self::new(base_key, key_id)
    }

    /// Which frames it is for.
    pub fn key_id(&self) -> KeyId {
        self.key_id
    }

    /// Header, ciphertext and tag. A counter must never come twice.
    pub(crate) fn encrypt(&self, counter: u32, metadata: &[u8], plaintext: &[u8]) -> Vec<u8> {
        let mut frame = Vec::with_capacity(13 + plaintext.len() + TAG);
        Header::write(self.key_id, counter, &mut frame);
        let header = frame.len();
        frame.extend_from_slice(plaintext);
        let nonce = self.nonce(counter);
        let (head, text) = frame.split_at_mut(header);
        self.apply(&nonce, text);
        let tag = self
            .authenticate(&*nonce, [head, metadata], text)
            .finalize();
        let tag = Zeroizing::new(tag.into_bytes().0);
        frame.extend_from_slice(&tag[..TAG]);
        frame
    }

    /// The plaintext of a frame with this header, if its tag verifies.
    pub(crate) fn decrypt(
        &self,
        header: &Header,
        metadata: &[u8],
        frame: &[u8],
    ) -> Result<Vec<u8>, Refusal> {
        let (head, rest) = frame
            .split_at_checked(header.length)
            .ok_or(Refusal::Format)?;
        let (text, tag) = rest.split_last_chunk::<TAG>().ok_or(Refusal::Auth)?;
        let nonce = self.nonce(header.counter);
        self.authenticate(&*nonce, [head, metadata], text)
            .verify_truncated_left(tag)
            .map_err(|_| Refusal::Auth)?;
        let mut plaintext = text.to_vec();
        self.apply(&nonce, &mut plaintext);
        Ok(plaintext)
    }

    fn nonce(&self, counter: u32) -> Zeroizing<[u8; NONCE]> {
        let mut nonce = self.salt.clone();
        for (byte, digit) in nonce[NONCE - 4..].iter_mut().zip(counter.to_be_bytes()) {
            *byte ^= digit;
        }
        nonce
    }

    fn apply(&self, nonce: &[u8; NONCE], text: &mut [u8]) {
        let mut block = [0; 16];
        block[..NONCE].copy_from_slice(nonce);
        let mut key = Zeroizing::new([0; CIPHER_KEY]);
        key.copy_from_slice(&self.key[..CIPHER_KEY]);
        Ctr32BE::<Aes256>::new((&*key).into(), &block.into()).apply_keystream(text);
    }

    fn authenticate(&self, nonce: &[u8], aad: [&[u8]; 2], text: &[u8]) -> Hmac<Sha512> {
        let mut key = Zeroizing::new([0; 128]);
        key[..AUTHENTICATION_KEY].copy_from_slice(&self.key[CIPHER_KEY..]);
        // The same as with the key of 64 bytes: HMAC fills it up with zeros to its block.
        let mut mac = Hmac::<Sha512>::new((&*key).into());
        let lengths = [aad[0].len() + aad[1].len(), text.len(), TAG];
        for length in lengths {
            mac.update(&(length as u64).to_be_bytes());
        }
        for part in [nonce, aad[0], aad[1], text] {
            mac.update(part);
        }
        mac
    }

    #[cfg(test)]
    pub(crate) fn parts(&self) -> (&[u8], &[u8]) {
        (&*self.key, &*self.salt)
    }
}

impl fmt::Debug for FrameKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FrameKey({:?}, …)", self.key_id)
    }
}

fn label(text: &[u8], key_id: KeyId) -> Vec<u8> {
    [text, &key_id.to_bytes()[..], &SUITE].concat()
}
