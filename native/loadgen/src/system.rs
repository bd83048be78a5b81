//! The only file with `unsafe`: batched socket calls and thread clocks, which std lacks.
#![allow(unsafe_code)]

use std::io;
use std::mem;
use std::net::UdpSocket;
use std::os::fd::{AsRawFd, FromRawFd, RawFd};

/// Packets received or sent per call.
pub const BATCH: usize = 64;
const BUFFER_BYTES: usize = 2_048;
const CONTROL_BYTES: usize = 64;

/// Receive buffers, reused by every call.
pub struct ReceiveBatch {
    buffers: Vec<[u8; BUFFER_BYTES]>,
    controls: Vec<[u64; CONTROL_BYTES / 8]>,
    lengths: [usize; BATCH],
    at_unix_ns: [u64; BATCH],
}

impl Default for ReceiveBatch {
    fn default() -> Self {
        Self {
            buffers: vec![[0; BUFFER_BYTES]; BATCH],
            controls: vec![[0; CONTROL_BYTES / 8]; BATCH],
            lengths: [0; BATCH],
            at_unix_ns: [0; BATCH],
        }
    }
}

impl ReceiveBatch {
    /// Receives the waiting datagrams without blocking. Returns 0 if none is waiting.
    pub fn receive(&mut self, socket: &UdpSocket) -> io::Result<usize> {
        // SAFETY: all-zero is a valid value of these C structures.
        let mut vectors: [libc::iovec; BATCH] = unsafe { mem::zeroed() };
        // SAFETY: as above.
        let mut messages: [libc::mmsghdr; BATCH] = unsafe { mem::zeroed() };
        for index in 0..BATCH {
            vectors[index].iov_base = self.buffers[index].as_mut_ptr().cast();
            vectors[index].iov_len = BUFFER_BYTES;
            let header = &mut messages[index].msg_hdr;
            header.msg_iov = &raw mut vectors[index];
            header.msg_iovlen = 1;
            header.msg_control = self.controls[index].as_mut_ptr().cast();
            header.msg_controllen = CONTROL_BYTES as _;
        }
        // SAFETY: every header points to buffers of the stated lengths that outlive the call.
        let count = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                messages.as_mut_ptr(),
                BATCH as u32,
                libc::MSG_DONTWAIT as _,
                std::ptr::null_mut(),
            )
        };
        if count < 0 {
            return match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
                // The server's port is closed; the loss shows in the counters.
                error if error.kind() == io::ErrorKind::ConnectionRefused => Ok(0),
                error => Err(error),
            };
        }
        for (index, message) in messages.iter().enumerate().take(count as usize) {
            self.lengths[index] = (message.msg_len as usize).min(BUFFER_BYTES);
            self.at_unix_ns[index] = timestamp(&message.msg_hdr);
        }
        Ok(count as usize)
    }

    /// Packet `index` of the last call, and its kernel receive time (0: no timestamp).
    pub fn packet(&mut self, index: usize) -> (&mut [u8], u64) {
        (
            &mut self.buffers[index][..self.lengths[index]],
            self.at_unix_ns[index],
        )
    }
}

fn timestamp(header: &libc::msghdr) -> u64 {
    // SAFETY: the kernel filled the control buffer and its length; the CMSG functions stay in it.
    unsafe {
        let mut control = libc::CMSG_FIRSTHDR(header);
        while !control.is_null() {
            if (*control).cmsg_level == libc::SOL_SOCKET
                && (*control).cmsg_type == libc::SCM_TIMESTAMPNS
            {
                let at: libc::timespec = std::ptr::read_unaligned(libc::CMSG_DATA(control).cast());
                return at.tv_sec as u64 * 1_000_000_000 + at.tv_nsec as u64;
            }
            control = libc::CMSG_NXTHDR(header, control);
        }
    }
    0
}

fn set_option(socket: &UdpSocket, level: i32, name: i32, value: i32) -> io::Result<()> {
    // SAFETY: `value` is an int, as all options used here take, and outlives the call.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            (&raw const value).cast(),
            mem::size_of::<i32>() as libc::socklen_t,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Adopts an inherited file descriptor, which must be a UDP socket.
pub fn adopt(fd: RawFd) -> io::Result<UdpSocket> {
    let mut kind: i32 = 0;
    let mut length = mem::size_of::<i32>() as libc::socklen_t;
    // SAFETY: `kind` and `length` are valid for the call; a bad descriptor is an error, not UB.
    let result = unsafe {
        libc::getsockopt(
            fd,
            libc::SOL_SOCKET,
            libc::SO_TYPE,
            (&raw mut kind).cast(),
            &raw mut length,
        )
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    if kind != libc::SOCK_DGRAM {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "not a datagram socket",
        ));
    }
    // SAFETY: the descriptor is open, and the job gives each to one owner only.
    let socket = unsafe { UdpSocket::from_raw_fd(fd) };
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Enables kernel receive times, and sets a receive buffer for the packets between two polls.
pub fn prepare_receiver(socket: &UdpSocket, buffer_bytes: i32) -> io::Result<()> {
    set_option(socket, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 1)?;
    // FORCE needs CAP_NET_ADMIN; without it the system limit applies.
    set_option(socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, buffer_bytes)
        .or_else(|_| set_option(socket, libc::SOL_SOCKET, libc::SO_RCVBUF, buffer_bytes))
}

/// Sends `packets` over a connected socket. Returns how many the kernel accepted.
pub fn send_batch(socket: &UdpSocket, packets: &[&[u8]]) -> io::Result<usize> {
    let packets = &packets[..packets.len().min(BATCH)];
    // SAFETY: all-zero is a valid value of these C structures.
    let mut vectors: [libc::iovec; BATCH] = unsafe { mem::zeroed() };
    // SAFETY: as above.
    let mut messages: [libc::mmsghdr; BATCH] = unsafe { mem::zeroed() };
    for (index, packet) in packets.iter().enumerate() {
        vectors[index].iov_base = packet.as_ptr().cast_mut().cast();
        vectors[index].iov_len = packet.len();
        messages[index].msg_hdr.msg_iov = &raw mut vectors[index];
        messages[index].msg_hdr.msg_iovlen = 1;
    }
    send_messages(socket, &mut messages[..packets.len()])
}

fn send_messages(socket: &UdpSocket, messages: &mut [libc::mmsghdr]) -> io::Result<usize> {
    // SAFETY: every header points to readable buffers that outlive the call.
    let sent = unsafe {
        libc::sendmmsg(
            socket.as_raw_fd(),
            messages.as_mut_ptr(),
            messages.len() as u32,
            0,
        )
    };
    if sent < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(sent as usize)
    }
}

/// Sends the same bytes to many IPv4 destinations, for the floor. With `segment_bytes`, each
/// message is sent in segments of that size (`UDP_SEGMENT`). Returns how many messages the kernel
/// accepted.
pub fn send_to_all(
    socket: &UdpSocket,
    bytes: &[u8],
    destinations: &[libc::sockaddr_in],
    segment_bytes: Option<u16>,
) -> io::Result<usize> {
    let destinations = &destinations[..destinations.len().min(BATCH)];
    let mut vector = libc::iovec {
        iov_base: bytes.as_ptr().cast_mut().cast(),
        iov_len: bytes.len(),
    };
    let mut control = [0_u64; CONTROL_BYTES / 8];
    // SAFETY: all-zero is a valid value of the C structure.
    let mut messages: [libc::mmsghdr; BATCH] = unsafe { mem::zeroed() };
    let control_bytes = segment_bytes.map(|bytes| write_segment_size(&mut control, bytes));
    for (message, destination) in messages.iter_mut().zip(destinations) {
        let header = &mut message.msg_hdr;
        header.msg_name = std::ptr::from_ref(destination).cast_mut().cast();
        header.msg_namelen = mem::size_of::<libc::sockaddr_in>() as libc::socklen_t;
        header.msg_iov = &raw mut vector;
        header.msg_iovlen = 1;
        if let Some(length) = control_bytes {
            header.msg_control = control.as_mut_ptr().cast();
            header.msg_controllen = length as _;
        }
    }
    send_messages(socket, &mut messages[..destinations.len()])
}

fn write_segment_size(control: &mut [u64; CONTROL_BYTES / 8], bytes: u16) -> usize {
    // SAFETY: the buffer is aligned and larger than one header with two bytes of data.
    unsafe {
        let length = libc::CMSG_SPACE(2) as usize;
        let header: *mut libc::cmsghdr = control.as_mut_ptr().cast();
        (*header).cmsg_level = libc::SOL_UDP;
        (*header).cmsg_type = libc::UDP_SEGMENT;
        (*header).cmsg_len = libc::CMSG_LEN(2) as _;
        std::ptr::write_unaligned(libc::CMSG_DATA(header).cast(), bytes);
        length
    }
}

/// Converts an IPv4 address to the kernel's structure.
pub fn address(of: std::net::SocketAddrV4) -> libc::sockaddr_in {
    // SAFETY: all-zero is a valid value of the C structure.
    let mut address: libc::sockaddr_in = unsafe { mem::zeroed() };
    address.sin_family = libc::AF_INET as _;
    address.sin_port = of.port().to_be();
    address.sin_addr.s_addr = u32::from_ne_bytes(of.ip().octets());
    address
}

/// CPU time of the calling thread.
pub fn thread_cpu_ns() -> u64 {
    let mut at = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `at` is valid for the call, which cannot fail for this clock.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut at) };
    at.tv_sec as u64 * 1_000_000_000 + at.tv_nsec as u64
}

/// Reduces the timer slack of the calling thread from 50 µs to 1 µs.
pub fn sleep_precisely() {
    // SAFETY: this call takes plain numbers only; failing leaves the default slack.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1_000_u64, 0, 0, 0) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;

    fn connected() -> (UdpSocket, UdpSocket) {
        let one = UdpSocket::bind("127.0.0.1:0").unwrap();
        let two = UdpSocket::bind("127.0.0.1:0").unwrap();
        one.connect(two.local_addr().unwrap()).unwrap();
        two.connect(one.local_addr().unwrap()).unwrap();
        (one, two)
    }

    #[test]
    fn a_batch_arrives_whole_in_order_and_stamped_by_the_kernel() {
        let (one, two) = connected();
        prepare_receiver(&two, 1 << 20).unwrap();
        assert_eq!(send_batch(&one, &[b"a", b"bc", b""]).unwrap(), 3);
        let mut batch = ReceiveBatch::default();
        assert_eq!(batch.receive(&two).unwrap(), 3);
        let now = crate::clock::unix_ns();
        for (index, right) in [&b"a"[..], b"bc", b""].iter().enumerate() {
            let (bytes, at) = batch.packet(index);
            assert_eq!(bytes, *right);
            assert!(now.abs_diff(at) < 10_000_000_000);
        }
        assert_eq!(batch.receive(&two).unwrap(), 0);
    }

    #[test]
    fn one_segmented_message_arrives_as_many_datagrams() {
        let (_, receiver) = connected();
        let receiver_two = UdpSocket::bind("127.0.0.1:0").unwrap();
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        let SocketAddr::V4(to) = receiver_two.local_addr().unwrap() else {
            unreachable!()
        };
        drop(receiver);
        let sent = send_to_all(&sender, &[7; 300], &[address(to)], Some(100)).unwrap();
        assert_eq!(sent, 1);
        let mut batch = ReceiveBatch::default();
        assert_eq!(batch.receive(&receiver_two).unwrap(), 3);
        assert_eq!(batch.packet(2).0.len(), 100);
    }

    #[test]
    fn only_datagram_sockets_are_adopted() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(adopt(listener.as_raw_fd()).is_err());
        assert!(adopt(-1).is_err());
    }
}
