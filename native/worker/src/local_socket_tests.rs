use super::*;
use rustix::net::{SocketFlags, socketpair};
use serde::de::IntoDeserializer;
use serde::de::value::{Error, I32Deserializer};
use std::os::fd::IntoRawFd;

fn pair(kind: SocketType) -> (OwnedFd, OwnedFd) {
    socketpair(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None).unwrap()
}

fn read(number: RawFd) -> Result<LocalSocket, Error> {
    let number: I32Deserializer<Error> = number.into_deserializer();
    LocalSocket::deserialize(number)
}

/// Whether the other end of a pair is closed.
fn is_closed(other: &OwnedFd) -> bool {
    let flags = RecvFlags::DONTWAIT;
    rustix::net::recv(other, &mut [0_u8; 8][..], flags).is_ok_and(|(_, length)| length == 0)
}

#[test]
fn a_descriptor_is_closed_once_with_the_last_copy_of_its_command() {
    let (ours, theirs) = pair(SocketType::SEQPACKET);
    let socket = read(ours.into_raw_fd()).unwrap();
    let copy = socket.clone();
    assert_eq!(socket, copy);
    drop(socket);
    assert!(!is_closed(&theirs));
    drop(copy);
    assert!(is_closed(&theirs));
}

#[test]
fn a_number_without_a_descriptor_is_refused() {
    for number in [-1, RawFd::MIN, RawFd::MAX] {
        assert!(read(number).is_err(), "{number}");
    }
}

#[test]
fn only_a_connected_local_socket_with_record_bounds_is_one_of_a_tap() {
    let (ours, theirs) = pair(SocketType::SEQPACKET);
    assert!(LocalSocket::new(ours).keeps_records());
    drop(theirs);
    for kind in [SocketType::STREAM, SocketType::DGRAM] {
        assert!(!LocalSocket::new(pair(kind).0).keeps_records());
    }
    let alone = |domain, kind| rustix::net::socket(domain, kind, None).unwrap();
    let unconnected = [
        alone(AddressFamily::UNIX, SocketType::SEQPACKET),
        alone(AddressFamily::INET, SocketType::DGRAM),
        std::fs::File::open("/dev/null").unwrap().into(),
    ];
    for other in unconnected {
        assert!(!LocalSocket::new(other).keeps_records());
    }
}

#[test]
fn a_batch_keeps_its_bounds_and_stops_where_the_kernel_does() {
    let (ours, theirs) = pair(SocketType::SEQPACKET);
    let (ours, theirs) = (LocalSocket::new(ours), LocalSocket::new(theirs));
    assert!(ours.enlarge(1 << 16) >= 1 << 16);
    let records = [&b"one"[..], b"two", b"three"];
    assert_eq!(ours.send(records.into_iter()).unwrap(), 3);
    assert!(ours.unread() > 11);
    let mut buffer = [0; 4];
    let read: Vec<_> = records
        .map(|record| (theirs.receive(&mut buffer).unwrap(), record.len()))
        .into();
    assert_eq!(read, [(3, 3), (3, 3), (5, 5)]);
    assert_eq!(ours.unread(), 0);
    let large = [0; 1_000];
    let sent: usize = (0..10_000)
        .map_while(|_| ours.send([&large[..]; 90].into_iter()).ok())
        .sum();
    assert!((10..10_000).contains(&sent), "{sent}");
    let full = ours.send([&large[..]].into_iter()).unwrap_err();
    assert_eq!(full.kind(), io::ErrorKind::WouldBlock);
}
