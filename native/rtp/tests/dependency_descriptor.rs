//! The dependency descriptor against descriptors written bit by bit from the specification.
#![allow(missing_docs, clippy::expect_used, clippy::panic)]

use proptest::prelude::*;
use sealroute_rtp::dependency_descriptor::{DependencyDescriptor, Indication, Structure};

#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    length: usize,
}

impl Bits {
    fn put(mut self, value: u32, width: usize) -> Self {
        for bit in (0..width).rev() {
            if self.length.is_multiple_of(8) {
                self.bytes.push(0);
            }
            let last = self.bytes.last_mut().expect("a byte");
            *last |= ((value >> bit & 1) as u8) << (7 - self.length % 8);
            self.length += 1;
        }
        self
    }

    fn mandatory(template: u32, number: u32) -> Self {
        Self::default()
            .put(1, 1)
            .put(1, 1)
            .put(template, 6)
            .put(number, 16)
    }
}

const NOT_PRESENT: u32 = 0;
const DISCARDABLE: u32 = 1;
const SWITCH: u32 = 2;

/// Two temporal layers, two decode targets, one chain; with a picture size.
fn two_layers(template: u32, offset: u32) -> Vec<u8> {
    let bits = Bits::mandatory(template, 7)
        // Extended fields: a structure, nothing custom.
        .put(0b10000, 5)
        .put(offset, 6)
        .put(1, 5)
        // Layers of the templates: (0, 0), (0, 1), end.
        .put(1, 2)
        .put(3, 2)
        // Indications: of (0, 0) both switch; of (0, 1) the second alone.
        .put(SWITCH, 2)
        .put(SWITCH, 2)
        .put(NOT_PRESENT, 2)
        .put(DISCARDABLE, 2)
        // Frame differences: none, and one.
        .put(0, 1)
        .put(1, 1)
        .put(0, 4)
        .put(0, 1)
        // One chain of three possible numbers (0 to 2), protecting both targets.
        .put(0b10, 2)
        .put(0, 4)
        .put(1, 4)
        .put(1, 1)
        .put(639, 16)
        .put(359, 16);
    bits.bytes
}

fn structure() -> Structure {
    let read = DependencyDescriptor::parse(&two_layers(5, 5), None).expect("valid");
    read.structure.expect("brought along")
}

#[test]
fn a_key_frame_brings_the_structure_that_names_its_layers() {
    let read = DependencyDescriptor::parse(&two_layers(5, 5), None).expect("valid");
    assert!(read.frame.start && read.frame.end);
    assert_eq!(
        (read.frame.number, read.frame.spatial, read.frame.temporal),
        (7, 0, 0)
    );
    assert_eq!(read.frame.indications.of(1), Indication::Switch);
    assert_eq!(read.frame.active_targets, Some(0b11));
    let structure = read.structure.expect("brought along");
    assert!(structure.is_layered());
    assert_eq!(structure.target_layers(), [(0, 0), (0, 1)]);
    assert_eq!(structure.resolution(0), Some((640, 360)));
    assert_eq!(structure.resolution(1), None);
}

#[test]
fn later_frames_name_a_template_of_it() {
    let known = structure();
    let frame = Bits::mandatory(6, 0xFFFF).bytes;
    let read = DependencyDescriptor::parse(&frame, Some(&known))
        .expect("valid")
        .frame;
    assert_eq!((read.number, read.spatial, read.temporal), (0xFFFF, 0, 1));
    assert_eq!(read.indications.of(0), Indication::NotPresent);
    assert_eq!(read.indications.of(1), Indication::Discardable);
    assert_eq!(read.active_targets, None);
}

#[test]
fn template_ids_count_round_sixty_four() {
    let read = DependencyDescriptor::parse(&two_layers(0, 63), None).expect("valid");
    assert_eq!(read.frame.temporal, 1);
}

#[test]
fn a_template_that_is_not_there_is_refused_and_so_is_one_without_a_structure() {
    let known = structure();
    let unknown = Bits::mandatory(7, 1).bytes;
    assert_eq!(DependencyDescriptor::parse(&unknown, Some(&known)), None);
    assert_eq!(
        DependencyDescriptor::parse(&Bits::mandatory(5, 1).bytes, None),
        None
    );
}

#[test]
fn a_frame_may_have_indications_of_its_own() {
    let known = structure();
    let frame = Bits::mandatory(6, 1)
        // Nothing but custom indications, differences and chains.
        .put(0b00111, 5)
        .put(NOT_PRESENT, 2)
        .put(SWITCH, 2)
        .put(1, 2)
        .put(2, 4)
        .put(0, 2)
        .put(9, 8);
    let read = DependencyDescriptor::parse(&frame.bytes, Some(&known)).expect("valid");
    assert_eq!(read.frame.indications.of(1), Indication::Switch);
}

#[test]
fn decode_targets_may_be_switched_off() {
    let known = structure();
    let frame = Bits::mandatory(5, 1).put(0b01000, 5).put(0b01, 2);
    let read = DependencyDescriptor::parse(&frame.bytes, Some(&known)).expect("valid");
    assert_eq!(read.frame.active_targets, Some(0b01));
}

#[test]
fn whatever_is_cut_off_is_refused() {
    let whole = two_layers(5, 5);
    for length in 0..whole.len() {
        assert_eq!(
            DependencyDescriptor::parse(&whole[..length], None),
            None,
            "{length}"
        );
    }
}

proptest! {
    #[test]
    fn anything_at_all_is_read_or_refused(value in prop::collection::vec(any::<u8>(), 0..80)) {
        let known = structure();
        for known in [None, Some(&known)] {
            if let Some(read) = DependencyDescriptor::parse(&value, known) {
                prop_assert!(read.frame.spatial < 4 && read.frame.temporal < 8);
            }
        }
    }
}
