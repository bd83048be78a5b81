//! The UDP socket: batched datagrams with their addresses and segment sizes.
//!
//! With `local_socket.rs` the one file of the core with `unsafe`. rustix has no recvmmsg, and its sendmmsg cannot
//! carry a source address or a segment size (`IP_PKTINFO`, `UDP_SEGMENT`); the options and statistics
//! that belong to them are missing too. Everything else goes through rustix (`poller.rs`, `tcp.rs`).
#![allow(unsafe_code)]

use std::io;
use std::mem;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, RawFd};

use crate::path::{Message, Path};

/// Datagrams received, or messages sent, per system call.
pub(crate) const BATCH: usize = 64;
/// No valid packet is larger; the kernel truncates it.
pub(crate) const DATAGRAM_BYTES: usize = 2_048;
/// Room for one `in6_pktinfo` and one segment size.
const CONTROL_WORDS: usize = 10;

/// `getsockopt` option that returns nine socket statistics (asm-generic/socket.h; missing in libc).
const SO_MEMINFO: i32 = 55;

type Control = [u64; CONTROL_WORDS];

/// The UDP socket of a worker.
pub(crate) struct MediaSocket {
    socket: UdpSocket,
    local: SocketAddr,
}

impl MediaSocket {
    /// Binds a non-blocking socket; `::` accepts IPv4 too.
    pub(crate) fn bind(address: SocketAddr, receive_buffer_bytes: usize) -> io::Result<Self> {
        let (v4, v6) = (address.is_ipv4(), address.is_ipv6());
        let domain = [libc::AF_INET, libc::AF_INET6][usize::from(v6)];
        // SAFETY: plain numbers; the result is checked before it is used.
        let fd = unsafe {
            libc::socket(
                domain,
                libc::SOCK_DGRAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK,
                0,
            )
        };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor was opened above and has no other owner.
        let socket = unsafe { UdpSocket::from_raw_fd(fd) };
        let wildcard = address.ip().is_unspecified();
        let (ip, ipv6) = (libc::IPPROTO_IP, libc::IPPROTO_IPV6);
        let options = [
            (v6, ipv6, libc::IPV6_V6ONLY, i32::from(!wildcard)),
            // Discover the path MTU, and fragment larger packets: protected packets of encoders
            // that write large ones cannot be made smaller, and a viewer behind a VPN would get
            // none of them.
            (v6, ipv6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_WANT),
            (v6 && wildcard, ipv6, libc::IPV6_RECVPKTINFO, 1),
            (
                v4 || wildcard,
                ip,
                libc::IP_MTU_DISCOVER,
                libc::IP_PMTUDISC_WANT,
            ),
            (v4 && wildcard, ip, libc::IP_PKTINFO, 1),
        ];
        for (_, level, name, value) in options.into_iter().filter(|(applies, ..)| *applies) {
            set_option(fd, level, name, value)?;
        }
        let bytes = i32::try_from(receive_buffer_bytes).unwrap_or(i32::MAX);
        // FORCE needs CAP_NET_ADMIN; without it the system limit applies.
        for (forced, usual) in [
            (libc::SO_RCVBUFFORCE, libc::SO_RCVBUF),
            (libc::SO_SNDBUFFORCE, libc::SO_SNDBUF),
        ] {
            set_option(fd, libc::SOL_SOCKET, forced, bytes)
                .or_else(|_| set_option(fd, libc::SOL_SOCKET, usual, bytes))?;
        }
        let (name, length) = kernel_address(address);
        // SAFETY: `name` is a valid address of `length` bytes that outlives the call.
        if unsafe { libc::bind(fd, (&raw const name).cast(), length) } != 0 {
            return Err(io::Error::last_os_error());
        }
        let local = socket.local_addr()?;
        Ok(Self { socket, local })
    }

    pub(crate) fn local(&self) -> SocketAddr {
        self.local
    }

    /// Datagrams that the kernel dropped since the socket was opened because its buffer was full.
    /// The count wraps around.
    pub(crate) fn lost(&self) -> u32 {
        let mut figures = [0_u32; 9];
        let mut length = mem::size_of_val(&figures) as libc::socklen_t;
        // SAFETY: the kernel writes at most `length` bytes into `figures`, which outlives the call.
        let result = unsafe {
            libc::getsockopt(
                self.socket.as_raw_fd(),
                libc::SOL_SOCKET,
                SO_MEMINFO,
                figures.as_mut_ptr().cast(),
                &raw mut length,
            )
        };
        // Kernels before 4.12 do not support the option.
        let dropped = figures.get(libc::SK_MEMINFO_DROPS as usize);
        dropped.filter(|_| result == 0).copied().unwrap_or_default()
    }
}

impl AsFd for MediaSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn set_option(fd: RawFd, level: i32, name: i32, value: i32) -> io::Result<()> {
    let length = mem::size_of::<i32>() as libc::socklen_t;
    // SAFETY: `value` is an int, as all options used here take, and outlives the call.
    let result = unsafe { libc::setsockopt(fd, level, name, (&raw const value).cast(), length) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Whether the kernel supports UDP segmentation offload (Linux 4.18).
pub(crate) fn can_segment(socket: &MediaSocket) -> bool {
    let mut value = 0i32;
    let mut length = mem::size_of::<i32>() as libc::socklen_t;
    // SAFETY: both pointers are to locals of the right size that outlive the call.
    let result = unsafe {
        libc::getsockopt(
            socket.socket.as_raw_fd(),
            libc::SOL_UDP,
            libc::UDP_SEGMENT,
            (&raw mut value).cast(),
            &raw mut length,
        )
    };
    result == 0
}

fn kernel_address(address: SocketAddr) -> (libc::sockaddr_in6, libc::socklen_t) {
    // SAFETY: all-zero is a valid value of the C structure.
    let mut v6: libc::sockaddr_in6 = unsafe { mem::zeroed() };
    match address {
        SocketAddr::V6(address) => {
            v6.sin6_family = libc::AF_INET6 as _;
            v6.sin6_port = address.port().to_be();
            v6.sin6_addr.s6_addr = address.ip().octets();
            v6.sin6_scope_id = address.scope_id();
            (v6, mem::size_of::<libc::sockaddr_in6>() as _)
        }
        SocketAddr::V4(address) => {
            let v4 = libc::sockaddr_in {
                sin_family: libc::AF_INET as _,
                sin_port: address.port().to_be(),
                sin_addr: libc::in_addr {
                    s_addr: u32::from_ne_bytes(address.ip().octets()),
                },
                sin_zero: [0; 8],
            };
            // SAFETY: a sockaddr_in6 is larger than a sockaddr_in and aligned at least as strictly.
            unsafe { std::ptr::write((&raw mut v6).cast(), v4) };
            (v6, mem::size_of::<libc::sockaddr_in>() as _)
        }
    }
}

/// Converts a kernel address; IPv4-mapped addresses of a dual-stack socket become IPv4.
fn std_address(name: &libc::sockaddr_in6) -> SocketAddr {
    if i32::from(name.sin6_family) == libc::AF_INET {
        // SAFETY: the kernel wrote a sockaddr_in, which is smaller, into this storage.
        let v4: libc::sockaddr_in = unsafe { std::ptr::read((&raw const *name).cast()) };
        let ip = Ipv4Addr::from(v4.sin_addr.s_addr.to_ne_bytes());
        return SocketAddr::V4(SocketAddrV4::new(ip, u16::from_be(v4.sin_port)));
    }
    let (ip, port) = (
        Ipv6Addr::from(name.sin6_addr.s6_addr),
        u16::from_be(name.sin6_port),
    );
    match ip.to_ipv4_mapped() {
        Some(ip) => SocketAddr::V4(SocketAddrV4::new(ip, port)),
        None => SocketAddr::V6(SocketAddrV6::new(ip, port, 0, name.sin6_scope_id)),
    }
}

/// Receive buffers, reused by every call.
pub(crate) struct ReceiveBatch {
    buffers: Vec<[u8; DATAGRAM_BYTES]>,
    lengths: [usize; BATCH],
    /// `None` for a truncated datagram.
    paths: [Option<Path>; BATCH],
}

impl Default for ReceiveBatch {
    fn default() -> Self {
        Self {
            buffers: vec![[0; DATAGRAM_BYTES]; BATCH],
            lengths: [0; BATCH],
            paths: [None; BATCH],
        }
    }
}

impl ReceiveBatch {
    /// Receives the waiting datagrams without blocking. Returns 0 if none is waiting.
    pub(crate) fn receive(&mut self, socket: &MediaSocket) -> io::Result<usize> {
        // SAFETY: all-zero is a valid value of these C structures.
        let (mut vectors, mut messages, mut names): (
            [libc::iovec; BATCH],
            [libc::mmsghdr; BATCH],
            [libc::sockaddr_in6; BATCH],
        ) = unsafe { mem::zeroed() };
        let mut controls: [Control; BATCH] = [[0; CONTROL_WORDS]; BATCH];
        for (index, buffer) in self.buffers.iter_mut().enumerate() {
            vectors[index] = libc::iovec {
                iov_base: buffer.as_mut_ptr().cast(),
                iov_len: DATAGRAM_BYTES,
            };
            let header = &mut messages[index].msg_hdr;
            header.msg_iov = &raw mut vectors[index];
            header.msg_iovlen = 1;
            header.msg_name = (&raw mut names[index]).cast();
            header.msg_namelen = mem::size_of::<libc::sockaddr_in6>() as _;
            header.msg_control = controls[index].as_mut_ptr().cast();
            header.msg_controllen = mem::size_of::<Control>() as _;
        }
        // SAFETY: every header points to buffers of the stated lengths that outlive the call.
        let count = unsafe {
            libc::recvmmsg(
                socket.socket.as_raw_fd(),
                messages.as_mut_ptr(),
                BATCH as u32,
                libc::MSG_DONTWAIT as _,
                std::ptr::null_mut(),
            )
        };
        if count < 0 {
            let error = io::Error::last_os_error();
            // Other errors are temporary (a device that is down, no memory).
            let broken = matches!(
                error.raw_os_error(),
                Some(libc::EBADF | libc::ENOTSOCK | libc::EINVAL | libc::EFAULT)
            );
            return if broken { Err(error) } else { Ok(0) };
        }
        let count = count as usize;
        for (index, message) in messages.iter().enumerate().take(count) {
            let whole = message.msg_hdr.msg_flags & libc::MSG_TRUNC == 0;
            self.lengths[index] = (message.msg_len as usize).min(DATAGRAM_BYTES);
            self.paths[index] = whole.then(|| Path {
                remote: std_address(&names[index]),
                local: local_address(&message.msg_hdr),
                connection: None,
            });
        }
        Ok(count)
    }

    /// Datagram `index` of the last call; no path if the kernel truncated it.
    pub(crate) fn datagram(&mut self, index: usize) -> (&mut [u8], Option<Path>) {
        (
            &mut self.buffers[index][..self.lengths[index]],
            self.paths[index],
        )
    }
}

fn local_address(header: &libc::msghdr) -> Option<IpAddr> {
    // SAFETY: the kernel filled the control buffer and its length; the CMSG functions stay in it,
    // and a message of a known type carries a whole structure of that type.
    unsafe {
        let mut control = libc::CMSG_FIRSTHDR(header);
        while !control.is_null() {
            match ((*control).cmsg_level, (*control).cmsg_type) {
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                    let info: libc::in_pktinfo =
                        std::ptr::read_unaligned(libc::CMSG_DATA(control).cast());
                    return Some(IpAddr::V4(Ipv4Addr::from(
                        info.ipi_spec_dst.s_addr.to_ne_bytes(),
                    )));
                }
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                    let info: libc::in6_pktinfo =
                        std::ptr::read_unaligned(libc::CMSG_DATA(control).cast());
                    return Some(IpAddr::V6(Ipv6Addr::from(info.ipi6_addr.s6_addr)));
                }
                _ => control = libc::CMSG_NXTHDR(header, control),
            }
        }
    }
    None
}

/// Sends up to `BATCH` messages. Returns how many the kernel accepted; an error refers to the first
/// one.
pub(crate) fn send_batch(socket: &MediaSocket, batch: &[Message<'_>]) -> io::Result<usize> {
    let batch = &batch[..batch.len().min(BATCH)];
    // SAFETY: all-zero is a valid value of these C structures.
    let (mut vectors, mut messages, mut names): (
        [libc::iovec; BATCH],
        [libc::mmsghdr; BATCH],
        [libc::sockaddr_in6; BATCH],
    ) = unsafe { mem::zeroed() };
    let mut controls: [Control; BATCH] = [[0; CONTROL_WORDS]; BATCH];
    for (index, message) in batch.iter().enumerate() {
        vectors[index] = libc::iovec {
            iov_base: message.bytes.as_ptr().cast_mut().cast(),
            iov_len: message.bytes.len(),
        };
        let header = &mut messages[index].msg_hdr;
        (names[index], header.msg_namelen) =
            kernel_address(as_seen_by(socket, message.path.remote));
        header.msg_name = (&raw mut names[index]).cast();
        header.msg_iov = &raw mut vectors[index];
        header.msg_iovlen = 1;
        let used = write_control(&mut controls[index], socket.local.is_ipv6(), message);
        if used > 0 {
            header.msg_control = controls[index].as_mut_ptr().cast();
            header.msg_controllen = used as _;
        }
    }
    let fd = socket.socket.as_raw_fd();
    // SAFETY: every header points to readable buffers of the stated lengths that outlive the call.
    let sent = unsafe {
        libc::sendmmsg(
            fd,
            messages.as_mut_ptr(),
            batch.len() as u32,
            libc::MSG_DONTWAIT as _,
        )
    };
    if sent < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(sent as usize)
    }
}

fn as_seen_by(socket: &MediaSocket, remote: SocketAddr) -> SocketAddr {
    match remote {
        SocketAddr::V4(v4) if socket.local.is_ipv6() => {
            (v4.ip().to_ipv6_mapped(), v4.port()).into()
        }
        other => other,
    }
}

/// Writes the source address and the segment size. Returns the bytes used.
fn write_control(control: &mut Control, is_ipv6: bool, message: &Message<'_>) -> usize {
    let mut used = 0;
    if let Some(local) = message.path.local {
        used += if is_ipv6 {
            let ip = match local {
                IpAddr::V4(ip) => ip.to_ipv6_mapped(),
                IpAddr::V6(ip) => ip,
            };
            let info = libc::in6_pktinfo {
                ipi6_addr: libc::in6_addr {
                    s6_addr: ip.octets(),
                },
                ipi6_ifindex: 0,
            };
            append_control(
                control,
                used,
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO),
                info,
            )
        } else if let IpAddr::V4(ip) = local {
            let spec = libc::in_addr {
                s_addr: u32::from_ne_bytes(ip.octets()),
            };
            let info = libc::in_pktinfo {
                ipi_ifindex: 0,
                ipi_spec_dst: spec,
                ipi_addr: libc::in_addr { s_addr: 0 },
            };
            append_control(control, used, (libc::IPPROTO_IP, libc::IP_PKTINFO), info)
        } else {
            0
        };
    }
    if let Some(bytes) = message.segment_bytes {
        used += append_control(control, used, (libc::SOL_UDP, libc::UDP_SEGMENT), bytes);
    }
    used
}

/// Appends one control message at byte `at`. Returns the bytes it takes, or 0 if it does not fit.
fn append_control<T: Copy>(control: &mut Control, at: usize, kind: (i32, i32), value: T) -> usize {
    let bytes = mem::size_of::<T>() as u32;
    // SAFETY: these functions only compute sizes.
    let (space, length) = unsafe {
        (
            libc::CMSG_SPACE(bytes) as usize,
            libc::CMSG_LEN(bytes) as usize,
        )
    };
    if at + space > mem::size_of::<Control>() || !at.is_multiple_of(mem::size_of::<u64>()) {
        return 0;
    }
    // SAFETY: checked above: `at` is aligned for a cmsghdr and `space` bytes behind it are ours.
    unsafe {
        let header: *mut libc::cmsghdr = control.as_mut_ptr().cast::<u8>().add(at).cast();
        (*header).cmsg_level = kind.0;
        (*header).cmsg_type = kind.1;
        (*header).cmsg_len = length as _;
        std::ptr::write_unaligned(libc::CMSG_DATA(header).cast(), value);
    }
    space
}

#[cfg(test)]
#[path = "socket_tests.rs"]
mod tests;
