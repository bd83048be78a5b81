use super::*;

/// Accepts or refuses messages as configured, and records (bytes, segment size) of each.
#[derive(Default)]
struct Recorder {
    messages: Vec<(usize, Option<u16>)>,
    refuse_segments: Option<i32>,
    refuse_all: Option<i32>,
    calls: usize,
}

impl MessageSocket for Recorder {
    fn send(&mut self, batch: &[Message<'_>]) -> io::Result<usize> {
        self.calls += 1;
        let mut taken = 0;
        for message in batch {
            let refusal = self
                .refuse_all
                .or(message.segment_bytes.and(self.refuse_segments));
            if let Some(code) = refusal {
                return if taken > 0 {
                    Ok(taken)
                } else {
                    Err(io::Error::from_raw_os_error(code))
                };
            }
            self.messages
                .push((message.bytes.len(), message.segment_bytes));
            taken += 1;
        }
        Ok(taken)
    }

    fn keep(&mut self, _: NonZeroU32, _: Instant) {}
}

fn path(port: u16) -> Path {
    Path {
        remote: ([127, 0, 0, 1], port).into(),
        local: None,
        connection: None,
    }
}

fn queue(egress: &mut Egress<Recorder>, counters: &mut NetworkCounters, packets: &[(u16, usize)]) {
    for &(port, length) in packets {
        egress.slot(counters)[..length].fill(port as u8);
        egress.commit(path(port), length);
    }
}

fn setup(socket: Recorder) -> (Egress<Recorder>, NetworkCounters) {
    (Egress::new(socket), NetworkCounters::default())
}

#[test]
fn the_first_peers_of_a_large_session_do_not_wait_for_packets_to_all_others() {
    let (mut egress, mut counters) = setup(Recorder::default());
    let packets: Vec<_> = (0..BATCH as u16).map(|port| (port, 100)).collect();
    queue(&mut egress, &mut counters, &packets);
    assert!(egress.socket().messages.is_empty());
    queue(&mut egress, &mut counters, &[(1_000, 100)]);
    assert_eq!(
        (egress.socket().messages.len(), egress.socket().calls),
        (BATCH, 1)
    );
    egress.flush(&mut counters);
    assert_eq!(egress.socket().messages.len(), BATCH + 1);
}

#[test]
fn packets_of_equal_size_to_one_peer_leave_as_one_message() {
    let (mut egress, mut counters) = setup(Recorder::default());
    let packets = [
        (1, 100),
        (1, 100),
        (1, 40),
        (1, 40),
        (2, 40),
        (2, 60),
        (1, 7),
    ];
    queue(&mut egress, &mut counters, &packets);
    egress.flush(&mut counters);
    let expected = [
        (240, Some(100)),
        (40, None),
        (40, None),
        (60, None),
        (7, None),
    ];
    assert_eq!(egress.socket.messages, expected);
    assert_eq!(egress.socket.calls, 1);
    let read = |name| *SharedTotals::of(&counters).get(name).unwrap();
    assert_eq!((read("packets_sent"), read("bytes_sent")), (7, 387));
}

#[test]
fn a_message_has_at_most_64_segments_and_fits_a_datagram() {
    let (mut egress, mut counters) = setup(Recorder::default());
    queue(&mut egress, &mut counters, &[(1, 50); 100]);
    egress.flush(&mut counters);
    assert_eq!(
        egress.socket.messages,
        [(3_200, Some(50)), (1_800, Some(50))]
    );
    egress.socket.messages.clear();
    queue(&mut egress, &mut counters, &[(1, 1_200); 64]);
    egress.flush(&mut counters);
    assert!(
        egress
            .socket
            .messages
            .iter()
            .all(|(bytes, _)| *bytes <= 65_507)
    );
    assert_eq!(
        egress
            .socket
            .messages
            .iter()
            .map(|(bytes, _)| bytes)
            .sum::<usize>(),
        64 * 1_200
    );
}

#[test]
fn a_full_buffer_is_flushed_and_nothing_is_lost() {
    let (mut egress, mut counters) = setup(Recorder::default());
    queue(&mut egress, &mut counters, &[(1, 1_150); 1_000]);
    queue(&mut egress, &mut counters, &[(2, 20); 1_000]);
    egress.flush(&mut counters);
    assert_eq!(SharedTotals::of(&counters)["packets_sent"], 2_000);
}

#[test]
fn without_segmentation_packets_are_sent_singly_and_it_is_not_tried_again() {
    for code in [libc::EOPNOTSUPP, libc::EIO] {
        let (mut egress, mut counters) = setup(Recorder {
            refuse_segments: Some(code),
            ..Recorder::default()
        });
        queue(
            &mut egress,
            &mut counters,
            &[(1, 100), (1, 100), (2, 100), (2, 100)],
        );
        egress.flush(&mut counters);
        assert_eq!(egress.socket.messages, [(100, None); 4]);
        egress.socket.calls = 0;
        queue(&mut egress, &mut counters, &[(1, 100), (1, 100)]);
        egress.flush(&mut counters);
        assert_eq!(egress.socket.calls, 1);
        assert_eq!(SharedTotals::of(&counters)["packets_sent"], 6);
    }
}

#[test]
fn a_path_with_a_small_mtu_gets_single_packets_and_other_paths_keep_segmentation() {
    for code in [libc::EINVAL, libc::EMSGSIZE] {
        let (mut egress, mut counters) = setup(Recorder {
            refuse_segments: Some(code),
            ..Recorder::default()
        });
        queue(&mut egress, &mut counters, &[(1, 1_350), (1, 1_350)]);
        egress.flush(&mut counters);
        assert_eq!(egress.socket.messages, [(1_350, None); 2]);
        egress.socket.refuse_segments = None;
        queue(&mut egress, &mut counters, &[(2, 1_350), (2, 1_350)]);
        egress.flush(&mut counters);
        assert_eq!(egress.socket.messages[2], (2_700, Some(1_350)));
        assert_eq!(SharedTotals::of(&counters)["packets_sent"], 4);
    }
}

#[test]
fn packets_that_the_kernel_refuses_are_counted_by_reason() {
    let reasons = [
        (libc::EAGAIN, NetworkDrop::SendBufferFull),
        (libc::EMSGSIZE, NetworkDrop::SendTooLarge),
        (libc::ENETUNREACH, NetworkDrop::SendFailed),
    ];
    for (code, reason) in reasons {
        let (mut egress, mut counters) = setup(Recorder {
            refuse_all: Some(code),
            ..Recorder::default()
        });
        queue(&mut egress, &mut counters, &[(1, 100), (1, 100), (2, 30)]);
        egress.flush(&mut counters);
        assert_eq!(counters.dropped(reason), 3);
        assert_eq!(SharedTotals::of(&counters)["packets_sent"], 0);
    }
}

/// Counters by name, as other threads read them.
struct SharedTotals;

impl SharedTotals {
    fn of(counters: &NetworkCounters) -> std::collections::HashMap<String, u64> {
        let shared = crate::network_counters::SharedCounters::new();
        shared.store_network(counters);
        shared
            .read()
            .into_iter()
            .map(|(name, total)| (name.to_owned(), total))
            .collect()
    }
}
