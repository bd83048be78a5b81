//! A `SOCK_SEQPACKET` socket whose other end is in another process of this host.
//!
//! With `socket.rs` the one file of the core with `unsafe`: rustix adopts no descriptor by its
//! number, does not know `SIOCOUTQ`, and its `sendmmsg` needs a control buffer for each message.
#![allow(unsafe_code)]

use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::Arc;

use rustix::net::{AddressFamily, RecvFlags, SocketType, sockopt};
use serde::{Deserialize, Deserializer, de};

/// Records per system call.
pub(crate) const BATCH: usize = 64;

/// A descriptor that a command brought: it is the core's from then on, whatever comes of the
/// command, and closed once, with the last copy of the command.
#[derive(Clone, Debug)]
pub struct LocalSocket(Arc<OwnedFd>);

impl LocalSocket {
    /// A socket that is owned already.
    pub fn new(socket: OwnedFd) -> Self {
        Self(Arc::new(socket))
    }

    /// Takes over an open descriptor by its number. `None`: there is none.
    fn adopt(number: RawFd) -> Option<Self> {
        // SAFETY: F_GETFD only looks the number up.
        if number < 0 || unsafe { libc::fcntl(number, libc::F_GETFD) } < 0 {
            return None;
        }
        // SAFETY: it is open, and who sends the command gives it away.
        Some(Self::new(unsafe { OwnedFd::from_raw_fd(number) }))
    }

    /// Whether it is a connected local socket that keeps the bounds of records.
    pub(crate) fn keeps_records(&self) -> bool {
        let is_local = sockopt::socket_domain(self).is_ok_and(|of| of == AddressFamily::UNIX);
        let keeps = sockopt::socket_type(self).is_ok_and(|kind| kind == SocketType::SEQPACKET);
        is_local && keeps && rustix::net::getpeername(self).is_ok()
    }

    /// Asks for a send buffer of this size, and returns what the kernel gives.
    pub(crate) fn enlarge(&self, bytes: usize) -> usize {
        // FORCE needs CAP_NET_ADMIN; without it the system limit applies.
        let _ = sockopt::set_socket_send_buffer_size_force(self, bytes)
            .or_else(|_| sockopt::set_socket_send_buffer_size(self, bytes));
        sockopt::socket_send_buffer_size(self).unwrap_or_default()
    }

    /// Bytes that the other end has not read, with the kernel's own for each record.
    pub(crate) fn unread(&self) -> usize {
        let mut bytes: libc::c_int = 0;
        // SAFETY: the kernel writes an int into `bytes`, which outlives the call.
        let result = unsafe { libc::ioctl(self.0.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
        if result == 0 {
            usize::try_from(bytes).unwrap_or_default()
        } else {
            0
        }
    }

    /// Sends up to `BATCH` records without blocking. Returns how many the kernel accepted; an error
    /// refers to the first one.
    pub(crate) fn send<'a>(&self, records: impl Iterator<Item = &'a [u8]>) -> io::Result<usize> {
        // SAFETY: all-zero is a valid value of these C structures.
        let (mut vectors, mut messages): ([libc::iovec; BATCH], [libc::mmsghdr; BATCH]) =
            unsafe { mem::zeroed() };
        let mut count = 0;
        for (record, (vector, message)) in records.zip(vectors.iter_mut().zip(&mut messages)) {
            vector.iov_base = record.as_ptr().cast_mut().cast();
            vector.iov_len = record.len();
            message.msg_hdr.msg_iov = vector;
            message.msg_hdr.msg_iovlen = 1;
            count += 1;
        }
        // SAFETY: the headers point to readable buffers of the stated lengths that outlive the call.
        let sent = unsafe {
            libc::sendmmsg(
                self.0.as_raw_fd(),
                messages.as_mut_ptr(),
                count,
                (libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL) as _,
            )
        };
        if sent < 0 {
            Err(io::Error::last_os_error())
        } else {
            Ok(sent as usize)
        }
    }

    /// Receives one datagram without blocking, and its length, which exceeds the buffer if it did
    /// not fit. 0: the other end is closed.
    pub(crate) fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let flags = RecvFlags::DONTWAIT | RecvFlags::TRUNC;
        let (_, length) = rustix::net::recv(self, buffer, flags)?;
        Ok(length)
    }
}

impl AsFd for LocalSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Commands are equal if they brought the same descriptor.
impl PartialEq for LocalSocket {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl<'de> Deserialize<'de> for LocalSocket {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = RawFd::deserialize(deserializer)?;
        Self::adopt(number).ok_or_else(|| de::Error::custom("not an open descriptor"))
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for LocalSocket {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "LocalSocket".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "x-python": "int" })
    }
}

#[cfg(test)]
#[path = "local_socket_tests.rs"]
mod tests;
