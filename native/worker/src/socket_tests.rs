use super::*;
use std::time::Duration;

fn pair(host: &str) -> (MediaSocket, UdpSocket) {
    let ours = MediaSocket::bind(format!("{host}:0").parse().unwrap(), 1 << 20).unwrap();
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    peer.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    (ours, peer)
}

#[test]
fn a_reply_leaves_from_the_address_the_peer_talks_to() {
    for host in ["0.0.0.0", "[::]"] {
        let (ours, peer) = pair(host);
        peer.send_to(b"hello", ("127.0.0.2", ours.local().port()))
            .unwrap();
        let mut batch = ReceiveBatch::default();
        assert_eq!(batch.receive(&ours).unwrap(), 1);
        let (bytes, path) = batch.datagram(0);
        assert_eq!(bytes, b"hello");
        let path = path.unwrap();
        assert_eq!(path.remote, peer.local_addr().unwrap());
        let message = Message {
            path,
            bytes: b"back",
            segment_bytes: None,
        };
        assert_eq!(send_batch(&ours, &[message]).unwrap(), 1);
        let mut reply = [0; 16];
        let (length, from) = peer.recv_from(&mut reply).unwrap();
        assert_eq!(&reply[..length], b"back");
        assert_eq!(
            from.to_string(),
            format!("127.0.0.2:{}", ours.local().port())
        );
    }
}

#[test]
fn one_segmented_message_arrives_as_many_datagrams_from_the_right_address() {
    let (ours, peer) = pair("0.0.0.0");
    let path = Path {
        remote: peer.local_addr().unwrap(),
        local: Some(Ipv4Addr::new(127, 0, 0, 3).into()),
        connection: None,
    };
    let message = Message {
        path,
        bytes: &[7; 250],
        segment_bytes: Some(100),
    };
    assert_eq!(send_batch(&ours, &[message]).unwrap(), 1);
    for expected in [100, 100, 50] {
        let (length, from) = peer.recv_from(&mut [0; 512]).unwrap();
        assert_eq!(length, expected);
        assert_eq!(from.ip(), Ipv4Addr::new(127, 0, 0, 3));
    }
}

#[test]
fn a_datagram_larger_than_a_buffer_has_no_path() {
    let (ours, peer) = pair("127.0.0.1");
    peer.send_to(&[1; 3_000], ours.local()).unwrap();
    let mut batch = ReceiveBatch::default();
    assert_eq!(batch.receive(&ours).unwrap(), 1);
    assert_eq!(batch.datagram(0).1, None);
    assert_eq!(batch.receive(&ours).unwrap(), 0);
}

#[test]
fn datagrams_dropped_by_the_kernel_are_counted() {
    let ours = MediaSocket::bind("127.0.0.1:0".parse().unwrap(), 4_096).unwrap();
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    assert_eq!(ours.lost(), 0);
    let sent = 200;
    for _ in 0..sent {
        peer.send_to(&[1; 1_000], ours.local()).unwrap();
    }
    let mut batch = ReceiveBatch::default();
    let mut received = 0;
    loop {
        match batch.receive(&ours).unwrap() {
            0 => break,
            more => received += more,
        }
    }
    assert!(received < sent);
    assert_eq!(ours.lost() as usize, sent - received);
}
