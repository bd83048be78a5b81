//! What the application gives: a text that all members of a session share.

use std::fmt;

use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

use crate::SecretError;

const LENGTHS: std::ops::RangeInclusive<usize> = 8..=256;

/// A checked secret in the one spelling (NFC) that equal texts have. Wiped when dropped, and each copy
/// of it.
#[derive(Clone)]
pub struct EncryptionSecret(Zeroizing<String>);

impl EncryptionSecret {
    /// Checks the length in code points, before it normalizes.
    pub fn new(text: &str) -> Result<Self, SecretError> {
        if !LENGTHS.contains(&text.chars().count()) {
            return Err(SecretError::Length);
        }
        // One character becomes three at most: the text never moves, so no copy stays behind.
        let mut normalized = Zeroizing::new(String::with_capacity(3 * text.len()));
        normalized.extend(text.nfc());
        Ok(Self(normalized))
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for EncryptionSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EncryptionSecret(…)")
    }
}
