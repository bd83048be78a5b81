//! Maps header extensions between transports whose ids differ.
//!
//! The extensions of a packet are stored as a block of `(kind, length, value)` entries. Writing a
//! Subscriber's header maps kinds to its ids.

use sealroute_rtp::{HeaderExtensions, RtpPacket};

use crate::parameters::{Extension, ExtensionIds};

/// Enough for every extension that is forwarded; a larger element is dropped.
pub(crate) const BLOCK_BYTES: usize = 256;
/// One slot for each extension that the core knows.
const KINDS: usize = Extension::ALL.len();
const ENTRY_HEAD_BYTES: usize = 2;

/// Specific to a transport hop, or replaced by ours: never forwarded.
const HOP_BY_HOP: [Extension; 5] = [
    Extension::Mid,
    Extension::Rid,
    Extension::RepairedRid,
    Extension::AbsSendTime,
    Extension::TransportCc,
];

/// Ids by kind; 0 = not negotiated.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct IdTable([u8; KINDS]);

impl IdTable {
    pub(crate) fn new(ids: &ExtensionIds) -> Self {
        let mut table = [0; KINDS];
        for &(kind, id) in &ids.0 {
            table[kind as usize] = id;
        }
        Self(table)
    }

    pub(crate) fn id(&self, kind: Extension) -> u8 {
        self.0[kind as usize]
    }
}

/// The value of one extension of a packet.
pub(crate) fn value_of<'a>(
    ids: &IdTable,
    packet: &RtpPacket<'a>,
    kind: Extension,
) -> Option<&'a [u8]> {
    let id = ids.id(kind);
    (id != 0).then(|| packet.extensions().get(id)).flatten()
}

/// Collects the extensions to forward into `block` and returns its length.
pub(crate) fn collect(
    ids: &ExtensionIds,
    extensions: HeaderExtensions<'_>,
    block: &mut [u8; BLOCK_BYTES],
) -> usize {
    let mut end = 0;
    for (id, value) in extensions {
        let Some(&(kind, _)) = ids.0.iter().find(|(_, known)| *known == id) else {
            continue;
        };
        let next = end + ENTRY_HEAD_BYTES + value.len();
        if HOP_BY_HOP.contains(&kind) || next > block.len() {
            continue;
        }
        block[end] = kind as u8;
        block[end + 1] = value.len() as u8;
        block[end + ENTRY_HEAD_BYTES..next].copy_from_slice(value);
        end = next;
    }
    end
}

/// The entries of a block, by kind.
#[derive(Clone)]
pub(crate) struct Entries<'a>(pub(crate) &'a [u8]);

impl<'a> Iterator for Entries<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let &[kind, length, ..] = self.0 else {
            return None;
        };
        let (value, rest) = self.0[ENTRY_HEAD_BYTES..].split_at_checked(usize::from(length))?;
        self.0 = rest;
        Some((kind, value))
    }
}

/// The entries of a block under a receiver's ids.
#[derive(Clone)]
pub(crate) struct Mapped<'a> {
    pub(crate) entries: Entries<'a>,
    pub(crate) ids: &'a IdTable,
}

impl<'a> Iterator for Mapped<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let ids = &self.ids.0;
        self.entries
            .find_map(|(kind, value)| match ids.get(usize::from(kind)) {
                None | Some(0) => None,
                Some(&id) => Some((id, value)),
            })
    }
}
