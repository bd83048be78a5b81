//! Which frames have intact references after a loss: only those may be written to a file.

use crate::layer_chain::{LayerChain, Picture};

/// What a frame says of the ones that it depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reference {
    /// Nothing: audio.
    Independent,
    /// Nothing is known but whether it is a key frame.
    Unknown { key: bool },
    /// Numbers and temporal layers.
    Layers(Picture),
    /// A list.
    Listed(ListedPicture),
    /// H.264's `frame_num`.
    Numbered(NumberedPicture),
}

/// A VP9 picture of the flexible mode.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ListedPicture {
    pub(crate) key: bool,
    /// Its number, and whether that has 15 bits.
    pub(crate) id: (u16, bool),
    /// How many pictures ago each reference was.
    pub(crate) ago: Vec<u8>,
    pub(crate) temporal: u8,
    pub(crate) lowest_spatial: u8,
}

/// An H.264 picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct NumberedPicture {
    pub(crate) key: bool,
    /// `frame_num`, and one less than the number that it wraps at; `None`: unreadable.
    pub(crate) number: Option<(u32, u32)>,
    /// Others may depend on it.
    pub(crate) referenced: bool,
}

/// How far back a VP9 picture may refer, and no farther than this is remembered.
const REMEMBERED: u32 = 128;

/// The pictures of the last [`REMEMBERED`] numbers that were kept.
#[derive(Clone, Copy, Debug, Default)]
struct Kept {
    latest: Option<(u16, bool)>,
    /// Bit n: the picture n numbers before the latest.
    bits: u128,
    lowest_spatial: u8,
}

impl Kept {
    fn accept(&mut self, picture: &ListedPicture, lost: bool) -> bool {
        if picture.key {
            *self = Self::default();
        } else if self.latest.is_none() {
            return false;
        }
        self.move_to(picture.id);
        let has = |&ago: &u8| u32::from(ago) < REMEMBERED && self.bits >> ago & 1 == 1;
        // After a loss, lower layers of the same picture may be missing without being listed.
        let begins = picture.key || !lost || picture.lowest_spatial == self.lowest_spatial;
        let accepted = picture.key || (begins && picture.ago.iter().all(has));
        if accepted {
            self.bits |= 1;
            self.lowest_spatial = picture.lowest_spatial;
        }
        accepted
    }

    fn move_to(&mut self, id: (u16, bool)) {
        let mask = if id.1 { 0x7FFF } else { 0x7F };
        let ahead = self
            .latest
            .map_or(0, |(latest, _)| id.0.wrapping_sub(latest) & mask);
        self.bits = self.bits.checked_shl(ahead.into()).unwrap_or(0);
        self.latest = Some(id);
    }
}

/// The last reference picture of an H.264 stream.
#[derive(Clone, Copy, Debug, Default)]
struct Numbers {
    intact: bool,
    last: Option<u32>,
}

impl Numbers {
    fn accept(&mut self, picture: &NumberedPicture, lost: u32) -> bool {
        if picture.key {
            self.intact = true;
        } else if lost > 0 {
            self.intact &= self.continues(picture, lost);
        }
        if self.intact && picture.referenced {
            self.last = picture.number.map(|(number, _)| number);
        }
        self.intact
    }

    /// Each missing picture that others depend on would have taken a number, and at least one
    /// packet: fewer packets than numbers cannot hide by going around.
    fn continues(self, picture: &NumberedPicture, missing: u32) -> bool {
        match (self.last, picture.number) {
            (Some(last), Some((number, mask))) => {
                number == last.wrapping_add(1) & mask && missing < mask
            }
            _ => false,
        }
    }
}

/// What is known of the frames before.
#[derive(Clone, Debug, Default)]
pub(crate) struct References {
    chain: LayerChain,
    kept: Kept,
    numbers: Numbers,
    intact: bool,
    broken: bool,
}

impl References {
    /// Whether all that the frame depends on was kept. `lost`: packets that are missing since the
    /// last whole frame.
    pub(crate) fn accept(&mut self, reference: &Reference, lost: u32) -> bool {
        match reference {
            Reference::Independent => true,
            Reference::Unknown { key } => {
                self.intact = *key || (self.intact && lost == 0);
                self.broken = !self.intact;
                self.intact
            }
            Reference::Layers(picture) => {
                let accepted = self.chain.accept(picture, lost > 0);
                self.broken = self.chain.broken();
                accepted
            }
            Reference::Listed(picture) => {
                let accepted = self.kept.accept(picture, lost > 0);
                self.broken = !accepted && (self.broken || picture.temporal == 0);
                accepted
            }
            Reference::Numbered(picture) => {
                let accepted = self.numbers.accept(picture, lost);
                self.broken = !accepted;
                accepted
            }
        }
    }

    /// Only a key frame helps.
    pub(crate) fn broken(&self) -> bool {
        self.broken
    }
}

#[cfg(test)]
mod tests {
    use super::{ListedPicture, NumberedPicture, Reference, References};

    fn listed(id: u16, ago: &[u8], temporal: u8) -> Reference {
        Reference::Listed(ListedPicture {
            key: ago.is_empty(),
            id: (id, true),
            ago: ago.to_vec(),
            temporal,
            lowest_spatial: 0,
        })
    }

    fn numbered(number: u32, key: bool, referenced: bool) -> Reference {
        Reference::Numbered(NumberedPicture {
            key,
            number: Some((number, 15)),
            referenced,
        })
    }

    #[test]
    fn a_listed_reference_that_was_not_kept_breaks_the_picture() {
        let mut references = References::default();
        assert!(!references.accept(&listed(0x7FFD, &[1], 0), 0));
        assert!(references.accept(&listed(0x7FFE, &[], 0), 0));
        assert!(references.accept(&listed(0x7FFF, &[1], 1), 0));
        // 0 is missing; 1 depends on it, 2 on 0x7FFE.
        assert!(!references.accept(&listed(1, &[1], 1), 3));
        assert!(!references.broken());
        assert!(references.accept(&listed(2, &[4], 0), 0));
        assert!(!references.accept(&listed(3, &[2], 0), 0));
        assert!(references.broken());
        assert!(references.accept(&listed(4, &[2], 0), 0));
        assert!(!references.broken());
        assert!(
            !references.accept(&listed(200, &[196], 0), 0),
            "too far back"
        );
    }

    #[test]
    fn h264_goes_on_where_its_number_shows_that_no_reference_is_missing() {
        let mut references = References::default();
        assert!(!references.accept(&numbered(3, false, true), 0));
        assert!(references.broken());
        assert!(references.accept(&numbered(0, true, true), 9));
        assert!(references.accept(&numbered(1, false, false), 0));
        // A picture that nothing depends on is missing.
        assert!(references.accept(&numbered(1, false, true), 4));
        assert!(!references.accept(&numbered(3, false, true), 1));
        assert!(!references.accept(&numbered(4, false, true), 0));
        assert!(references.accept(&numbered(0, true, true), 0));
        assert!(
            !references.accept(&numbered(1, false, true), 16),
            "went around"
        );
    }

    #[test]
    fn a_frame_that_names_no_reference_needs_a_key_frame_after_any_loss() {
        let mut references = References::default();
        assert!(!references.accept(&Reference::Unknown { key: false }, 0));
        assert!(references.accept(&Reference::Unknown { key: true }, 0));
        assert!(references.accept(&Reference::Unknown { key: false }, 0));
        assert!(!references.accept(&Reference::Unknown { key: false }, 1));
        assert!(references.broken());
        assert!(references.accept(&Reference::Independent, 7));
    }
}
