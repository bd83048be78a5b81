//! What tests of taps share: a reader at the other end, and commands.

use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, socketpair};
use sealroute_forward::{DownTrackParameters, PublisherHandle, SubscriberHandle, TransportHandle};
use sealroute_rtp::rtcp::write_pli;
use sealroute_rtp::tap_record::{Record, RecordHeader, RecordKind};

use crate::api::{
    CloseTransport, Command, Event, OpenTap, RouterHandle, Secret, Subscribe, WriteTap,
};
use crate::core::bench::{Bench, ROUTER, down_track};
use crate::local_socket::LocalSocket;

pub(super) const TAP: TransportHandle = TransportHandle(60);
pub(super) const TAPPED: SubscriberHandle = SubscriberHandle(61);
pub(super) const ANNS: PublisherHandle = PublisherHandle(4);
pub(super) const OPAQUE: RouterHandle = RouterHandle(70);

/// A reader's end of a tap.
pub(super) struct Reader(pub(super) OwnedFd);

/// A record as (kind, ssrc, arrival, body).
pub(super) type Read = (RecordKind, u32, u64, Vec<u8>);

pub(super) fn pair() -> (LocalSocket, Reader) {
    let flags = SocketFlags::CLOEXEC;
    let (ours, theirs) =
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
    (LocalSocket::new(ours), Reader(theirs))
}

impl Reader {
    pub(super) fn datagram(&self) -> Option<Vec<u8>> {
        let mut buffer = vec![0; 4_096];
        let flags = RecvFlags::DONTWAIT;
        let (_, length) = rustix::net::recv(&self.0, &mut buffer[..], flags).ok()?;
        buffer.truncate(length);
        Some(buffer)
    }

    pub(super) fn all(&self) -> Vec<Read> {
        let datagrams = std::iter::from_fn(|| self.datagram().filter(|bytes| !bytes.is_empty()));
        let read = datagrams.map(|bytes| {
            let record = Record::parse(&bytes).unwrap();
            let header = record.header;
            (
                header.kind,
                header.ssrc,
                header.arrival_us,
                record.body.to_vec(),
            )
        });
        read.collect()
    }

    pub(super) fn kinds(&self) -> Vec<RecordKind> {
        self.all().into_iter().map(|(kind, ..)| kind).collect()
    }

    /// Whether the core has closed its end. Only when everything is read.
    pub(super) fn is_at_end(&self) -> bool {
        self.datagram().is_some_and(|bytes| bytes.is_empty())
    }

    pub(super) fn request_key_frame(&self, ssrc: u32) {
        assert!(self.request_key_frames(&[ssrc]));
    }

    /// One record. Returns whether the socket took it.
    pub(super) fn request_key_frames(&self, ssrcs: &[u32]) -> bool {
        let header = RecordHeader {
            kind: RecordKind::Feedback,
            ssrc: 0,
            arrival_us: 0,
        };
        let mut record = header.to_bytes().to_vec();
        for ssrc in ssrcs {
            write_pli(&mut record, 1, *ssrc);
        }
        let flags = rustix::net::SendFlags::DONTWAIT | rustix::net::SendFlags::NOSIGNAL;
        rustix::net::send(&self.0, &record, flags).is_ok()
    }
}

pub(super) fn open(router: RouterHandle, transport: TransportHandle) -> (Command, Reader) {
    let (socket, reader) = pair();
    let command = Command::OpenTap(OpenTap {
        router,
        transport,
        socket,
    });
    (command, reader)
}

pub(super) fn tapped(subscriber: SubscriberHandle, transport: TransportHandle) -> Command {
    Command::Subscribe(Subscribe {
        router: ROUTER,
        subscriber,
        publisher: ANNS,
        transport,
        down_tracks: vec![DownTrackParameters {
            ssrc: 1,
            ..down_track()
        }],
    })
}

pub(super) fn close(transport: TransportHandle) -> Command {
    Command::CloseTransport(CloseTransport { transport })
}

pub(super) fn write(body: &[u8]) -> Command {
    Command::WriteTap(WriteTap {
        transport: TAP,
        body: Secret(body.to_vec().into()),
    })
}

pub(super) fn failed(command: &'static str, handle: u64, reason: &'static str) -> Event {
    Event::CommandFailed {
        command,
        handle,
        reason,
    }
}

impl Bench {
    pub(super) fn open_tap(&mut self) -> Reader {
        let (command, reader) = open(ROUTER, TAP);
        self.apply(command);
        assert_eq!(self.events(), []);
        reader
    }

    pub(super) fn serve(&mut self) {
        self.core.serve_taps(self.now);
        self.core.end_batch(self.now);
    }
}
