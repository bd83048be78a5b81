use super::*;
use proptest::prelude::*;

fn pair(profile: SrtpProfile) -> (SrtpSender, SrtpReceiver) {
    let key = vec![0x0b; profile.key_bytes()];
    let salt = vec![0xa5; profile.salt_bytes()];
    let keys = SrtpKeys {
        key: &key,
        salt: &salt,
    };
    (
        SrtpSender::new(profile, keys).unwrap(),
        SrtpReceiver::new(profile, keys).unwrap(),
    )
}

fn header(ssrc: u32, sequence: u16) -> [u8; 12] {
    let mut header = [0x80, 96, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0];
    header[2..4].copy_from_slice(&sequence.to_be_bytes());
    header[8..].copy_from_slice(&ssrc.to_be_bytes());
    header
}

fn protected_packet(sender: &mut SrtpSender, ssrc: u32, sequence: u16) -> Vec<u8> {
    let mut slot = vec![0; 200];
    let length = sender
        .protect_rtp(&header(ssrc, sequence), &[0x42; 50], &mut slot)
        .unwrap();
    slot.truncate(length);
    slot
}

fn compound(length: usize) -> Vec<u8> {
    let mut compound = vec![0x5a; length];
    compound[..4].copy_from_slice(&[0x81, 201, 0, 7]);
    compound
}

#[test]
fn profiles_are_found_by_their_registered_names_only() {
    for profile in SrtpProfile::ALL {
        assert_eq!(SrtpProfile::from_name(profile.name()), Some(profile));
    }
    assert_eq!(SrtpProfile::from_name("SRTP_NULL_SHA1_80"), None);
}

#[test]
fn keys_of_a_wrong_length_are_refused() {
    for profile in SrtpProfile::ALL {
        for (key, salt) in [(15, 12), (16, 13), (0, 0), (33, 14)] {
            let keys = SrtpKeys {
                key: &vec![1; key],
                salt: &vec![1; salt],
            };
            let refusal = SrtpReceiver::new(profile, keys).err();
            assert_eq!(refusal, Some(SrtpError::KeyLength));
            assert_eq!(SrtpSender::new(profile, keys).err(), refusal);
        }
    }
}

#[test]
fn packets_are_unprotected_once_across_wraps_losses_and_reordering() {
    for profile in SrtpProfile::ALL {
        let (mut sender, mut receiver) = pair(profile);
        let sequences = (65_400_u32..65_700).chain((66_000..400_000).step_by(97));
        let mut packets: Vec<_> = sequences
            .map(|index| protected_packet(&mut sender, 9, index as u16))
            .collect();
        packets[100..200].reverse();
        for packet in &packets {
            let mut clear = packet.clone();
            assert_eq!(receiver.unprotect_rtp(&mut clear), Ok(62), "{profile:?}");
            assert_eq!(clear[12..62], [0x42; 50]);
        }
        for packet in &mut packets {
            let again = receiver.unprotect_rtp(packet).unwrap_err();
            assert!(matches!(again, SrtpError::Replayed | SrtpError::BadTag));
        }
    }
}

#[test]
fn a_replay_within_the_window_has_its_own_error() {
    let (mut sender, mut receiver) = pair(SrtpProfile::AeadAes128Gcm);
    let packets: Vec<_> = (0..2_000)
        .map(|at| protected_packet(&mut sender, 9, at))
        .collect();
    for packet in &packets {
        receiver.unprotect_rtp(&mut packet.clone()).unwrap();
    }
    for packet in packets {
        let replay = receiver.unprotect_rtp(&mut packet.clone());
        assert_eq!(replay, Err(SrtpError::Replayed));
    }
}

#[test]
fn a_modified_packet_is_refused_and_changes_no_state() {
    for profile in SrtpProfile::ALL {
        let (mut sender, mut receiver) = pair(profile);
        let packet = protected_packet(&mut sender, 9, 7);
        for at in [1, 3, 7, 8, 12, packet.len() - 1] {
            let mut changed = packet.clone();
            changed[at] ^= 1;
            let refusal = receiver.unprotect_rtp(&mut changed);
            assert_eq!(refusal, Err(SrtpError::BadTag), "{profile:?} byte {at}");
        }
        assert_eq!(receiver.rtp_streams.len(), 0);
        assert_eq!(receiver.unprotect_rtp(&mut packet.clone()), Ok(62));
        let mut next = protected_packet(&mut sender, 9, 8);
        let mut far_ahead = protected_packet(&mut sender, 9, 30_000);
        *far_ahead.last_mut().unwrap() ^= 1;
        assert_eq!(
            receiver.unprotect_rtp(&mut far_ahead),
            Err(SrtpError::BadTag)
        );
        assert_eq!(receiver.unprotect_rtp(&mut next), Ok(62));
    }
}

#[test]
fn an_index_is_used_once() {
    let (mut sender, _) = pair(SrtpProfile::AeadAes128Gcm);
    let mut slot = [0; 200];
    for sequence in [10, 12, 11] {
        protected_packet(&mut sender, 9, sequence);
    }
    for sequence in [10, 11, 12] {
        let again = sender.protect_rtp(&header(9, sequence), &[1; 20], &mut slot);
        assert_eq!(again, Err(SrtpError::IndexReused));
    }
    protected_packet(&mut sender, 10, 10);
}

#[test]
fn a_kept_packet_is_copied_unchanged_and_others_are_not_available() {
    for profile in SrtpProfile::ALL {
        let (mut sender, mut receiver) = pair(profile);
        let mut packets = Vec::new();
        for sequence in 0..300 {
            let mut slot = vec![0; 200];
            let length = sender
                .protect_rtp_and_keep(&header(9, sequence), &[sequence as u8; 50], &mut slot)
                .unwrap();
            slot.truncate(length);
            packets.push(slot);
        }
        let mut slot = vec![0; 200];
        for (sequence, packet) in packets.iter().enumerate() {
            let again = sender.copy_kept(9, sequence as u16, &mut slot);
            if sequence < 300 - 128 {
                assert_eq!(again, Err(SrtpError::NotKept));
            } else {
                assert_eq!(again, Ok(packet.len()));
                assert_eq!(slot[..packet.len()], *packet);
            }
        }
        assert_eq!(
            sender.copy_kept(10, 299, &mut slot),
            Err(SrtpError::NotKept)
        );
        let refusal = sender.copy_kept(9, 299, &mut [0; 20]);
        assert_eq!(refusal, Err(SrtpError::SlotTooSmall));
        protected_packet(&mut sender, 9, 300);
        assert_eq!(sender.copy_kept(9, 300, &mut slot), Err(SrtpError::NotKept));
        assert_eq!(receiver.unprotect_rtp(&mut packets[299]), Ok(62));
    }
}

#[test]
fn the_table_of_ssrcs_is_bounded_and_known_ones_still_work() {
    let (mut sender, mut receiver) = pair(SrtpProfile::AeadAes128Gcm);
    for ssrc in 0..1_024 {
        let mut packet = protected_packet(&mut sender, ssrc, 1);
        receiver.unprotect_rtp(&mut packet).unwrap();
    }
    let mut packet = protected_packet(&mut sender, 1_024, 1);
    let refusal = receiver.unprotect_rtp(&mut packet);
    assert_eq!(refusal, Err(SrtpError::TooManyStreams));
    let mut packet = protected_packet(&mut sender, 5, 2);
    assert_eq!(receiver.unprotect_rtp(&mut packet), Ok(62));
}

#[test]
fn rtcp_packets_are_unprotected_once_and_modified_ones_never() {
    for profile in SrtpProfile::ALL {
        let (mut sender, mut receiver) = pair(profile);
        for length in [8, 12, 32, 400] {
            let clear = compound(length);
            let mut slot = [0; 500];
            let protected_length = sender.protect_rtcp(&clear, &mut slot).unwrap();
            let packet = &slot[..protected_length];
            for at in [1, 5, length + 5, protected_length - 5] {
                let mut changed = packet.to_vec();
                changed[at] ^= 1;
                assert_eq!(
                    receiver.unprotect_rtcp(&mut changed),
                    Err(SrtpError::BadTag),
                    "{profile:?} {length} {at}"
                );
            }
            let mut opened = packet.to_vec();
            assert_eq!(receiver.unprotect_rtcp(&mut opened), Ok(length));
            assert_eq!(opened[..length], clear);
            let replay = receiver.unprotect_rtcp(&mut packet.to_vec());
            assert_eq!(replay, Err(SrtpError::Replayed));
        }
    }
}

#[test]
fn an_rtcp_packet_without_the_encrypted_flag_is_refused() {
    for profile in SrtpProfile::ALL {
        let (mut sender, mut receiver) = pair(profile);
        let mut slot = [0; 100];
        let length = sender.protect_rtcp(&compound(32), &mut slot).unwrap();
        let flag_at = if profile.is_gcm() { length - 4 } else { 32 };
        slot[flag_at] &= 0x7f;
        let refusal = receiver.unprotect_rtcp(&mut slot[..length]);
        assert_eq!(refusal, Err(SrtpError::NotEncrypted));
    }
}

#[test]
fn a_slot_too_small_for_the_tag_is_refused_before_an_index_is_used() {
    for profile in SrtpProfile::ALL {
        let (mut sender, _) = pair(profile);
        let mut slot = vec![0; 62 + profile.tag_bytes() - 1];
        let refusal = sender.protect_rtp(&header(9, 1), &[0; 50], &mut slot);
        assert_eq!(refusal, Err(SrtpError::SlotTooSmall));
        let refusal = sender.protect_rtcp(&compound(60), &mut slot);
        assert_eq!(refusal, Err(SrtpError::SlotTooSmall));
        assert_eq!(
            protected_packet(&mut sender, 9, 1).len(),
            62 + profile.tag_bytes()
        );
    }
}

#[test]
fn a_packet_is_protected_alike_in_place_and_from_parts_of_any_size() {
    for profile in SrtpProfile::ALL {
        for length in [0, 1, 15, 16, 17, 96, 300, 1_150] {
            let body: Vec<u8> = (0..length).map(|at| (at * 7) as u8).collect();
            let mut whole = [&header(9, 1)[..], &body].concat();
            let clear = whole.len();
            whole.resize(clear + profile.tag_bytes(), 0);
            let protected = pair(profile).0.protect_rtp_in_place(&mut whole, clear);
            assert_eq!(protected, Ok(whole.len()));
            for first in [0, 1, 6, 15, 16, 17, 40].map(|first| length.min(first)) {
                let head = [&header(9, 1)[..], &body[..first]].concat();
                let mut slot = [0xEE; 1_300];
                let protected = pair(profile)
                    .0
                    .protect_rtp(&head, &body[first..], &mut slot);
                assert_eq!(protected, Ok(whole.len()));
                assert_eq!(slot[..whole.len()], whole, "{profile:?} {length} {first}");
                assert_eq!(slot[whole.len()..], [0xEE; 1_300][whole.len()..]);
            }
        }
    }
}

#[test]
fn a_header_with_csrcs_and_extension_stays_in_the_clear() {
    for profile in SrtpProfile::ALL {
        let (mut sender, mut receiver) = pair(profile);
        let mut head = header(9, 1).to_vec();
        head[0] = 0x92;
        head.extend_from_slice(&[1; 8]);
        head.extend_from_slice(&[0xbe, 0xde, 0, 1, 0x10, 7, 0, 0]);
        let mut slot = [0; 100];
        let length = sender.protect_rtp(&head, b"payload", &mut slot).unwrap();
        assert_eq!(slot[..head.len()], head);
        assert_ne!(slot[head.len()..head.len() + 7], *b"payload");
        assert_eq!(
            receiver.unprotect_rtp(&mut slot[..length]),
            Ok(head.len() + 7)
        );
        assert_eq!(slot[head.len()..head.len() + 7], *b"payload");
    }
}

proptest! {
    #[test]
    fn random_bytes_are_refused(mut bytes in prop::collection::vec(any::<u8>(), 0..120)) {
        for profile in SrtpProfile::ALL {
            let (mut sender, mut receiver) = pair(profile);
            prop_assert!(receiver.unprotect_rtp(&mut bytes).is_err());
            prop_assert!(receiver.unprotect_rtcp(&mut bytes).is_err());
            if let Some(first) = bytes.first_mut() {
                *first = 0x80 | *first & 0x3f;
            }
            prop_assert!(receiver.unprotect_rtp(&mut bytes).is_err());
            prop_assert!(receiver.unprotect_rtcp(&mut bytes).is_err());
            let mut slot = [0; 200];
            let protected = sender.protect_rtp(&bytes, &[], &mut slot);
            prop_assert_eq!(protected.is_ok(), rtp_header_bytes(&bytes).is_ok());
        }
    }
}
