use super::*;
use std::io::{Read, Write};
use std::thread;

use sealroute_transport::stun::{BindingRequest, write_binding_request};

struct Server {
    tcp: TcpConnections,
    batch: TcpBatch,
    now: Instant,
}

impl Server {
    fn new() -> Self {
        Self {
            tcp: TcpConnections::bind("127.0.0.1:0".parse().unwrap()).unwrap(),
            batch: TcpBatch::default(),
            now: Instant::now(),
        }
    }

    fn connect(&mut self) -> TcpStream {
        let stream = TcpStream::connect(self.tcp.listener.local_addr().unwrap()).unwrap();
        let before = self.tcp.len();
        while self.tcp.len() == before {
            self.tcp.receive(self.now, &mut self.batch);
        }
        stream
    }

    /// Receives until `count` packets have arrived.
    fn packets(&mut self, count: usize) -> Vec<(Path, Vec<u8>)> {
        let mut found = Vec::new();
        while found.len() < count {
            self.tcp.receive(self.now, &mut self.batch);
            found.extend(
                self.batch
                    .packets()
                    .map(|(path, packet)| (path, packet.to_vec())),
            );
            thread::yield_now();
        }
        found
    }

    fn until_ended(&mut self) {
        loop {
            self.tcp.receive(self.now, &mut self.batch);
            if !self.batch.ended().is_empty() {
                return;
            }
            thread::yield_now();
        }
    }
}

fn check() -> Vec<u8> {
    let request = BindingRequest {
        transaction_id: [5; 12],
        username: "server:client",
        priority: 1,
        controlling: 1,
        use_candidate: true,
    };
    let mut out = vec![0; 300];
    let length = write_binding_request(&request, b"password", &mut out);
    out.truncate(length);
    out
}

fn frame(packet: &[u8]) -> Vec<u8> {
    let mut frame = (packet.len() as u16).to_be_bytes().to_vec();
    frame.extend_from_slice(packet);
    frame
}

fn message(path: Path, bytes: &[u8]) -> Message<'_> {
    Message {
        path,
        bytes,
        segment_bytes: None,
    }
}

#[test]
fn packets_are_complete_however_the_stream_is_fragmented() {
    let mut server = Server::new();
    let mut peer = server.connect();
    peer.set_nodelay(true).unwrap();
    let stream = [frame(&check()), frame(&[]), frame(&check())].concat();
    for piece in stream.chunks(7) {
        peer.write_all(piece).unwrap();
        thread::yield_now();
    }
    for (path, packet) in server.packets(2) {
        assert_eq!(packet, check());
        assert_eq!(path.remote, peer.local_addr().unwrap());
        assert_eq!(path.local, Some(peer.peer_addr().unwrap().ip()));
    }
}

#[test]
fn answers_go_back_framed_over_the_connection_of_the_path() {
    let mut server = Server::new();
    let mut peers = [server.connect(), server.connect()];
    for peer in &mut peers {
        peer.write_all(&frame(&check())).unwrap();
        let path = server.packets(1)[0].0;
        server.tcp.send(&message(path, b"answer")).unwrap();
        let mut answer = [0; 8];
        peer.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"\0\x06answer");
    }
}

#[test]
fn media_before_a_check_and_oversized_frames_close_the_connection() {
    for bytes in [frame(&[0x80; 40]), b"GET / HTTP/1.1\r\n\r\n".to_vec()] {
        let mut server = Server::new();
        let mut peer = server.connect();
        peer.write_all(&bytes).unwrap();
        server.until_ended();
        assert_eq!(server.tcp.len(), 0);
        assert_eq!(server.tcp.counters().bad_frames, 1);
        assert_eq!(peer.read(&mut [0; 8]).unwrap_or(0), 0);
    }
}

#[test]
fn a_connection_without_a_valid_check_is_closed_after_ten_seconds_and_a_kept_one_when_it_expires() {
    let mut server = Server::new();
    let (_idle, mut busy) = (server.connect(), server.connect());
    busy.write_all(&frame(&check())).unwrap();
    let number = server.packets(1)[0].0.connection.unwrap();
    let start = server.now;
    server.tcp.keep(number, start + Duration::from_secs(30));
    for (seconds, left, expired) in [(9, 2, 0), (11, 1, 1), (29, 1, 1), (31, 0, 2)] {
        server.now = start + Duration::from_secs(seconds);
        server.tcp.receive(server.now, &mut server.batch);
        assert_eq!(server.tcp.len(), left, "after {seconds} s");
        assert_eq!(server.tcp.counters().expired, expired);
    }
    assert_eq!(server.tcp.poll_timeout(), None);
    assert!(server.tcp.per_prefix.is_empty());
}

#[test]
fn packets_for_a_slow_peer_are_refused_and_those_it_gets_are_complete() {
    let mut server = Server::new();
    let mut peer = server.connect();
    peer.write_all(&frame(&check())).unwrap();
    let path = server.packets(1)[0].0;
    let mut taken = 0_u32;
    loop {
        let mut packet = [7; 1_200];
        packet[..4].copy_from_slice(&taken.to_be_bytes());
        match server.tcp.send(&message(path, &packet)) {
            Ok(()) => taken += 1,
            Err(error) => {
                assert_eq!(error.kind(), BACKLOG_FULL);
                break;
            }
        }
    }
    peer.set_nonblocking(true).unwrap();
    let (mut received, mut buffer) = (Vec::new(), vec![0; 65_536]);
    while received.len() < taken as usize * 1_202 {
        if let Ok(bytes) = peer.read(&mut buffer) {
            received.extend_from_slice(&buffer[..bytes]);
        }
        server.tcp.receive(server.now, &mut server.batch);
    }
    for (index, got) in received.chunks(1_202).enumerate() {
        assert_eq!(got[..2], 1_200_u16.to_be_bytes());
        assert_eq!(got[2..6], (index as u32).to_be_bytes());
    }
}

#[test]
fn at_the_limit_of_an_address_its_oldest_connection_without_a_check_is_closed() {
    let mut server = Server::new();
    let mut peers: Vec<_> = (0..MAX_PER_PREFIX).map(|_| server.connect()).collect();
    let address = server.tcp.listener.local_addr().unwrap();
    let come = |server: &mut Server| {
        let peer = TcpStream::connect(address).unwrap();
        let before = server.tcp.counters();
        while server.tcp.counters() == before {
            server.tcp.receive(server.now, &mut server.batch);
        }
        peer
    };
    // A neighbor behind the same NAT occupies all places and sends no checks.
    let mut honest = come(&mut server);
    assert_eq!(peers[0].read(&mut [0; 8]).unwrap_or(0), 0);
    honest.write_all(&frame(&check())).unwrap();
    let number = server.packets(1)[0].0.connection.unwrap();
    server.tcp.keep(number, server.now + UNCONFIRMED_TIME);
    let more: Vec<_> = (0..2 * MAX_PER_PREFIX).map(|_| come(&mut server)).collect();
    assert_eq!(server.tcp.len(), MAX_PER_PREFIX);
    assert!(server.tcp.connections.contains_key(&number));
    // If all have sent valid checks, none is closed.
    for number in server.tcp.connections.keys().copied().collect::<Vec<_>>() {
        server.tcp.keep(number, server.now + UNCONFIRMED_TIME);
    }
    come(&mut server);
    let totals = server.tcp.counters();
    assert_eq!(
        (totals.gave_way as usize, totals.refused),
        (1 + 2 * MAX_PER_PREFIX, 1)
    );
    drop((peers, honest, more));
    while server.tcp.len() > 0 {
        server.tcp.receive(server.now, &mut server.batch);
    }
    server.connect();
}

#[test]
fn the_end_of_a_connection_is_reported_once_and_sending_over_it_fails() {
    let mut server = Server::new();
    let mut peer = server.connect();
    peer.write_all(&frame(&check())).unwrap();
    let path = server.packets(1)[0].0;
    drop(peer);
    server.until_ended();
    assert_eq!(server.batch.ended(), [path.peer()]);
    let error = server.tcp.send(&message(path, b"late")).unwrap_err();
    assert_eq!(error.kind(), CONNECTION_GONE);
    server.tcp.receive(server.now, &mut server.batch);
    assert!(server.batch.ended().is_empty());
}

#[test]
fn all_addresses_of_one_slash_64_share_one_limit() {
    let mut server = Server::new();
    let address = server.tcp.listener.local_addr().unwrap();
    let mut peers = Vec::new();
    let mut admit = |server: &mut Server, ip: Ipv6Addr| {
        let peer = TcpStream::connect(address).unwrap();
        let (stream, _) = loop {
            match server.tcp.listener.accept() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::yield_now(),
                accepted => break accepted.unwrap(),
            }
        };
        let remote = (ip, 9).into();
        server
            .tcp
            .admit(server.now, stream, remote, &mut server.batch);
        peers.push(peer);
    };
    for host in 0..=MAX_PER_PREFIX as u16 {
        admit(
            &mut server,
            Ipv6Addr::new(0x2001, 0xDB8, 0, 1, 0, 0, host, host),
        );
    }
    assert_eq!(server.tcp.len(), MAX_PER_PREFIX);
    assert_eq!(server.tcp.counters().gave_way, 1);
    admit(&mut server, Ipv6Addr::new(0x2001, 0xDB8, 0, 2, 0, 0, 0, 1));
    assert_eq!(server.tcp.len(), MAX_PER_PREFIX + 1);
    // Closed connections free their places.
    server
        .tcp
        .sweep(server.now + UNCONFIRMED_TIME, &mut server.batch);
    assert_eq!((server.tcp.len(), server.tcp.per_prefix.len()), (0, 0));
}

#[test]
fn at_the_total_limit_only_the_oldest_connection_without_a_check_is_closed() {
    let mut server = Server::new();
    server.tcp.limit = 3;
    let mut peers: Vec<_> = (0..3).map(|_| server.connect()).collect();
    let confirm = |server: &mut Server, peer: &mut TcpStream| {
        peer.write_all(&frame(&check())).unwrap();
        let number = server.packets(1)[0].0.connection.unwrap();
        server.tcp.keep(number, server.now + UNCONFIRMED_TIME);
    };
    confirm(&mut server, &mut peers[0]);
    let come = |server: &mut Server| {
        let stream = TcpStream::connect(server.tcp.listener.local_addr().unwrap()).unwrap();
        let before = server.tcp.counters();
        loop {
            server.tcp.receive(server.now, &mut server.batch);
            let now = server.tcp.counters();
            if (now.accepted, now.refused) != (before.accepted, before.refused) {
                return stream;
            }
            thread::yield_now();
        }
    };
    let mut late = come(&mut server);
    assert_eq!(server.batch.ended().len(), 1);
    assert_eq!(peers[1].read(&mut [0; 8]).unwrap_or(0), 0);
    confirm(&mut server, &mut late);
    confirm(&mut server, &mut peers[2]);
    // If all have sent valid checks, none is closed.
    let mut refused = come(&mut server);
    assert_eq!(refused.read(&mut [0; 8]).unwrap_or(0), 0);
    let totals = server.tcp.counters();
    assert_eq!(
        (totals.gave_way, totals.refused, server.tcp.len()),
        (1, 1, 3)
    );
    assert!(server.tcp.unconfirmed.is_empty());
}
