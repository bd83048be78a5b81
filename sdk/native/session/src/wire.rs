//! What may go into packets.

use std::fmt;

use sealroute_e2ee::Codec;

/// A frame in the form in which it leaves: encrypted in an encrypted session, clear in a clear one.
/// Only [`crate::Session::wire`] makes one, packets are made of nothing else, and nothing but
/// packets is sent: what is not encrypted where it has to be cannot leave.
pub struct Wire {
    codec: Codec,
    bytes: Vec<u8>,
}

impl Wire {
    pub(crate) fn new(codec: Codec, bytes: Vec<u8>) -> Self {
        Self { codec, bytes }
    }

    /// What it was encoded with.
    pub fn codec(&self) -> Codec {
        self.codec
    }

    /// As they go into payloads.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Wire({:?}, {} bytes)", self.codec, self.bytes.len())
    }
}
