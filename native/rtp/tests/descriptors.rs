//! Payload descriptors against golden bytes and anything at all.
#![allow(missing_docs, clippy::expect_used, clippy::panic)]

use proptest::prelude::*;
use sealroute_rtp::descriptor::{
    Av1Descriptor, NalStarts, ObuElements, Vp8Descriptor, Vp9Descriptor, slice_prefix_bytes,
};

#[test]
fn vp8_long_and_short_picture_ids_are_read_where_they_stand() {
    let long = Vp8Descriptor::parse(&[0x90, 0xE0, 0xD2, 0x34, 0x56, 0x60, 0x11]).expect("long");
    assert!(long.frame_start);
    assert_eq!(
        (long.picture_id, long.picture_id_at),
        (Some((0x5234, true)), 2)
    );
    assert_eq!((long.tl0_picture_index, long.tl0_at), (Some(0x56), 4));
    assert_eq!((long.temporal_layer, long.length), (Some(1), 6));
    let short = Vp8Descriptor::parse(&[0x80, 0x80, 0x12, 0xAA]).expect("short");
    assert_eq!(
        (short.picture_id, short.length, short.frame_start),
        (Some((0x12, false)), 3, false)
    );
    let bare = Vp8Descriptor::parse(&[0x10, 0xAA]).expect("bare");
    assert_eq!(
        (bare.picture_id, bare.length, bare.frame_start),
        (None, 1, true)
    );
}

#[test]
fn a_later_vp8_partition_starts_no_frame() {
    assert!(
        !Vp8Descriptor::parse(&[0x11])
            .expect("partition 1")
            .frame_start
    );
}

#[test]
fn vp8_descriptors_that_are_cut_are_refused() {
    let whole = [0x90, 0xE0, 0xD2, 0x34, 0x56, 0x60];
    assert!((0..whole.len()).all(|length| Vp8Descriptor::parse(&whole[..length]).is_none()));
}

#[test]
fn vp9_layers_references_and_scalability_structures_are_passed_over() {
    // I L P F=0 B E V: 15-bit id, layers, TL0PICIDX, one spatial layer with its size and a group.
    let payload = [
        0xAE, 0x80, 0x01, 0x52, 0x07, 0x18, 0x02, 0x80, 0x01, 0x68, 0x01, 0x04, 0x08, 0xF1,
    ];
    let found = Vp9Descriptor::parse(&payload).expect("a descriptor");
    assert!(found.frame_start && found.frame_end && !found.inter_picture);
    assert_eq!((found.temporal_layer, found.spatial_layer), (2, 1));
    assert_eq!(found.length, payload.len() - 1);
    let flexible = Vp9Descriptor::parse(&[0xD8, 0x05, 0x03, 0x02, 0xF1]).expect("flexible");
    assert!(flexible.inter_picture && flexible.frame_start && !flexible.frame_end);
    assert_eq!(flexible.length, 4);
}

#[test]
fn h264_units_are_found_alone_aggregated_and_at_a_fragments_start() {
    let found = |payload: &[u8]| {
        NalStarts::new(payload)
            .map(|u| (u.unit_type, u.body.len()))
            .collect::<Vec<_>>()
    };
    assert_eq!(found(&[0x65, 1, 2]), [(5, 2)]);
    assert_eq!(
        found(&[0x78, 0, 2, 0x67, 9, 0, 1, 0x68, 0, 3, 0x65, 1, 2]),
        [(7, 1), (8, 0), (5, 2)]
    );
    assert_eq!(found(&[0x7C, 0x85, 1, 2, 3]), [(5, 3)]);
    assert_eq!(found(&[0x7C, 0x05, 1, 2, 3]), []);
    assert_eq!(found(&[0x78, 0, 200, 0x65, 1]), [(5, 1)], "cut short");
    assert_eq!(found(&[0x79, 1, 2]), []);
    assert_eq!(found(&[]), []);
}

#[test]
fn a_slice_header_begins_with_three_codes_up_to_a_whole_byte() {
    // first_mb 0 = 1, slice_type 7 = 0001000, pps_id 0 = 1, then padding.
    assert_eq!(
        slice_prefix_bytes(&[0b1000_1000, 0b1111_1111, 0xF0]),
        Some(2)
    );
    assert_eq!(slice_prefix_bytes(&[0b1011_0111]), Some(1));
    assert_eq!(slice_prefix_bytes(&[0; 8]), None);
    assert_eq!(slice_prefix_bytes(&[]), None);
}

#[test]
fn av1_elements_come_with_lengths_except_the_last_of_a_known_number() {
    let found = |payload: &[u8]| {
        ObuElements::new(payload)
            .map(<[u8]>::to_vec)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        found(&[0x28, 2, 0x08, 9, 0x30, 1, 2]),
        [vec![0x08, 9], vec![0x30, 1, 2]]
    );
    assert_eq!(
        found(&[0x00, 2, 0x08, 9, 1, 0x30]),
        [vec![0x08, 9], vec![0x30]]
    );
    assert_eq!(found(&[0x10, 0x30, 1]), [vec![0x30, 1]]);
    assert_eq!(
        found(&[0x00, 0x80, 0x80, 0x80, 0x80, 1]),
        [[0_u8; 0]; 0],
        "a length without end"
    );
    let head = Av1Descriptor::parse(&[0x98]).expect("a head");
    assert!(head.continues && head.new_sequence);
    assert_eq!(head.elements, 1);
    assert_eq!(Av1Descriptor::parse(&[]), None);
}

proptest! {
    #[test]
    fn no_bytes_can_make_them_panic_or_run_on(payload in prop::collection::vec(any::<u8>(), 0..400)) {
        let lengths = [
            Vp8Descriptor::parse(&payload).map(|found| found.length.into()),
            Vp9Descriptor::parse(&payload).map(|found| found.length),
            slice_prefix_bytes(&payload),
        ];
        prop_assert!(lengths.into_iter().flatten().all(|length| length <= payload.len()));
        prop_assert!(NalStarts::new(&payload).count() <= payload.len());
        prop_assert!(ObuElements::new(&payload).count() <= payload.len());
        let _ = Av1Descriptor::parse(&payload);
    }
}
