//! K: what a secret is in one session, and what follows from it (docs/e2ee.md sections 2, 12, 13).

use std::fmt;

use hkdf::Hkdf;
use sha2::Sha512;
use zeroize::Zeroizing;

use crate::{EncryptionSecret, KeyPart, SecretError, text};

const ITERATIONS: u32 = 600_000;
const KEY_BYTES: usize = 64;

/// A key of 64 bytes that keys of frames are expanded from.
pub(crate) type BaseKey = Zeroizing<[u8; KEY_BYTES]>;

/// The key of a secret in a session. Wiped when dropped; two are the same if all bytes are.
pub struct SessionKey {
    key: BaseKey,
    hint: KeyPart,
}

impl SessionKey {
    /// Takes a third of a second of one core: never on a thread that does anything else.
    /// `session_id` is the one that the application gave, never one of the server.
    pub fn derive(secret: &EncryptionSecret, session_id: &str) -> Result<Self, SecretError> {
        Self::derive_with(secret, session_id, ITERATIONS)
    }

    pub(crate) fn derive_with(
        secret: &EncryptionSecret,
        session_id: &str,
        iterations: u32,
    ) -> Result<Self, SecretError> {
        let salt = text::labeled("e2ee/2 pbkdf2", &[session_id]).ok_or(SecretError::Id)?;
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        pbkdf2::pbkdf2_hmac::<Sha512>(secret.as_bytes(), &salt, iterations, &mut *key);
        Ok(Self::from_derived(&key))
    }

    /// Of the 64 bytes that PBKDF2 gave: some platforms derive them faster than this crate can.
    pub fn from_derived(bytes: &[u8; KEY_BYTES]) -> Self {
        let key = Zeroizing::new(*bytes);
        let mut hint = [0; 2];
        expand(&key, b"e2ee/2 hint", &mut hint);
        Self {
            key,
            hint: KeyPart(u16::from_be_bytes(hint)),
        }
    }

    /// Names the secret in key ids and to the server, and says nothing else of it.
    pub fn hint(&self) -> KeyPart {
        self.hint
    }

    /// What members read to each other: six groups of five digits.
    pub fn verification_code(&self) -> String {
        let mut bytes = Zeroizing::new([0; 30]);
        self.expand_labeled("e2ee/2 verify ", &["routed"], &mut *bytes);
        let groups = bytes.chunks_exact(5).map(|group| {
            let number = group
                .iter()
                .fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
            format!("{:05}", number % 100_000)
        });
        groups.collect::<Vec<_>>().join(" ")
    }

    /// None for ids that no server message can have.
    pub(crate) fn stream_base(&self, connection_id: &str, stream_id: &str) -> Option<BaseKey> {
        let mut base = Zeroizing::new([0; KEY_BYTES]);
        self.expand_labeled("e2ee/2 stream ", &[connection_id, stream_id], &mut *base)?;
        Some(base)
    }

    pub(crate) fn signal_base(&self, connection_id: &str) -> Option<BaseKey> {
        let mut base = Zeroizing::new([0; KEY_BYTES]);
        self.expand_labeled("e2ee/2 signal ", &[connection_id], &mut *base)?;
        Some(base)
    }

    #[cfg(test)]
    pub(crate) fn bytes(&self) -> &[u8] {
        &*self.key
    }

    fn expand_labeled(&self, label: &str, texts: &[&str], out: &mut [u8]) -> Option<()> {
        expand(&self.key, &text::labeled(label, texts)?, out);
        Some(())
    }

    /// In constant time: whether both come from the same secret and session.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let pairs = self.key.iter().zip(other.key.iter());
        std::hint::black_box(pairs.fold(0, |differs, (ours, theirs)| differs | (ours ^ theirs)))
            == 0
    }
}

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionKey(…)")
    }
}

/// HKDF-SHA-512 with an empty salt. The lengths of this format are far below its limit.
pub(crate) fn expand(key: &[u8; KEY_BYTES], info: &[u8], out: &mut [u8]) {
    let expanded = Hkdf::<Sha512>::new(None, key).expand(info, out);
    debug_assert!(expanded.is_ok(), "HKDF gives 16,320 bytes");
}
