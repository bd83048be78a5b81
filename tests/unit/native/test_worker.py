"""A worker of the compiled core as its peers on the network see it."""

import random
import socket
import struct
import threading
from pathlib import Path

import msgpack
import pytest

from sfu import core_api
from sfu.core_api import (
    CommandFailed,
    ConsentExpired,
    DtlsDatagram,
    IceValidated,
    PayloadAccess,
)
from sfu.media_router import decode_events, encode_command
from tests.descriptors import open_descriptors

native = pytest.importorskip("sfu._native")

TASKS = Path("/proc/self/task")
CLIENT_HELLO = bytes.fromhex("16fefd0000000000000000000d01000001000000000000000107")


def test_a_valid_check_is_answered_with_the_address_it_came_from(bench, make_peer):
    peer = make_peer(bench.open_router())
    answer = peer.validate()
    assert answer.attributes["XOR-MAPPED-ADDRESS"] == peer.socket.getsockname()
    assert bench.event(IceValidated) == IceValidated(peer.handle)


def test_checks_that_are_not_valid_get_no_answer_and_are_counted(bench, make_peer):
    peer = make_peer(bench.open_router())
    peer.send(peer.check(password="another+password+of+somebody"))
    peer.send(peer.check(password=None))
    peer.send(peer.check(ufrag="nobody"))
    peer.send(peer.check()[:-4])
    bench.until(drop__stun_refused=2, drop__stun_unknown_ufrag=1, drop__stun_malformed=1)
    assert not peer.has_mail()
    assert bench.worker.counters()["packets_sent"] == 0


def test_a_second_valid_check_is_answered_but_reported_once(bench, make_peer):
    peer = make_peer(bench.open_router())
    peer.validate()
    peer.validate()
    bench.event(IceValidated)
    bench.take_events()
    assert bench.events == []


def test_the_address_of_one_peer_is_not_taken_by_another_transport(bench, make_peer):
    router = bench.open_router()
    victim, thief = make_peer(router), make_peer(router)
    victim.validate()
    victim.send(thief.check())
    bench.until(drop__stun_address_taken=1)
    victim.send(CLIENT_HELLO)
    assert bench.event(DtlsDatagram) == DtlsDatagram(victim.handle, CLIENT_HELLO)


def test_dtls_goes_up_only_from_the_validated_address(bench, make_peer):
    peer = make_peer(bench.open_router())
    peer.send(CLIENT_HELLO)
    bench.until(drop__unknown_address=1)
    peer.validate()
    peer.send(CLIENT_HELLO)
    assert bench.event(DtlsDatagram) == DtlsDatagram(peer.handle, CLIENT_HELLO)
    with peer.new_socket() as stranger:
        stranger.sendto(CLIENT_HELLO, peer.server)
        bench.until(drop__unknown_address=2, dtls_records=1)


def test_handshake_bytes_go_to_the_validated_address_and_nowhere_else(bench, make_peer):
    peer = make_peer(bench.open_router())
    bench.submit(core_api.SendDtls(peer.handle, b"\x16early"))
    bench.until(drop__send_no_address=1)
    peer.validate()
    bench.submit(core_api.SendDtls(peer.handle, b"\x16hello"))
    assert peer.receive() == b"\x16hello"


def test_a_packet_arrives_under_the_subscribers_ssrc_and_protected_with_its_keys(call):
    call.send(7, b"one sound")
    packet = call.ben.receive_rtp()
    assert struct.unpack("!I", packet[8:12])[0] == call.DOWN_TRACK_SSRC
    assert packet.endswith(b"one sound")


def test_a_burst_of_equal_packets_arrives_whole_and_in_order(call):
    payloads = [struct.pack("!H", index) + bytes(1_000) for index in range(60)]
    for index, payload in enumerate(payloads):
        call.send(index, payload)
    received = [call.ben.receive_rtp() for _ in payloads]
    assert [packet[-1_002:] for packet in received] == payloads
    numbers = [struct.unpack("!H", packet[2:4])[0] for packet in received]
    assert [(number - numbers[0]) & 0xFFFF for number in numbers] == list(range(60))


def test_media_from_another_address_is_never_learnt(call):
    call.send(1)
    call.ben.receive_rtp()
    protected = call.ann.outbound.protect(
        struct.pack("!BBHII", 0x80, 111, 2, 960, call.SSRC) + b"stolen"
    )
    with call.ann.new_socket() as stranger:
        stranger.sendto(protected, call.ann.server)
        call.bench.until(drop__unknown_address=1)
    call.ann.send(protected)
    assert call.ben.receive_rtp().endswith(b"stolen")


def test_a_replayed_packet_and_a_changed_one_are_dropped(call):
    protected = call.send(1)
    call.ben.receive_rtp()
    call.ann.send(protected)
    fresh = bytearray(
        call.ann.outbound.protect(struct.pack("!BBHII", 0x80, 111, 2, 960, call.SSRC) + b"x")
    )
    fresh[-1] ^= 1
    call.ann.send(bytes(fresh))
    totals = call.bench.until(drop__srtp_replayed=1, drop__srtp_bad_tag=1)
    assert totals["rtp_forwarded"] == 1
    assert not call.ben.has_mail()


def test_media_before_the_keys_is_dropped(bench, make_peer):
    peer = make_peer(bench.open_router())
    peer.validate()
    peer.send(b"\x80\x6f" + bytes(60))
    peer.send(b"\x80\xc8" + bytes(60))
    bench.until(drop__no_keys=2)


def test_a_nominating_check_from_a_new_address_moves_the_peer(call):
    call.ben.socket.close()
    call.ben.socket = call.ben.new_socket()
    call.ben.validate()
    call.send(1, b"after the move")
    assert call.ben.receive_rtp().endswith(b"after the move")


def test_media_follows_a_hundred_changes_of_both_addresses_and_no_keys_are_lost(call):
    for change in range(100):
        for peer in (call.ann, call.ben):
            peer.socket.close()
            peer.socket = peer.new_socket(f"127.0.0.{2 + change}")
            peer.validate()
        call.send(change, b"change %d." % change)
        assert call.ben.receive_rtp().endswith(b"change %d." % change)
    totals = call.bench.until(rtp_forwarded=100)
    assert totals["drop.unknown_address"] == totals["drop.srtp_bad_tag"] == 0


def test_a_thousand_of_a_thousand_peers_are_found_at_addresses_that_only_their_media_shows(call):
    call.send(0, b"at home")
    assert call.ben.receive_rtp().endswith(b"at home")
    for change in range(1, 1_001):
        call.ann.socket.close()
        call.ann.socket = call.ann.new_socket(f"127.0.{change // 250}.{2 + change % 250}")
        call.send(2 * change, b"asked")
        call.ann.answer_check()
        call.send(2 * change + 1, b"change %d." % change)
        assert call.ben.receive_rtp().endswith(b"change %d." % change)
    call.bench.until(peer_moves=1_000)


def test_a_check_without_nomination_from_a_new_address_moves_nothing(call):
    with call.ben.new_socket() as probe:
        probe.sendto(call.ben.check(nominate=False), call.ben.server)
        assert probe.recv(2_048)
        call.send(1, b"stays")
        assert call.ben.receive_rtp().endswith(b"stays")


def test_without_checks_consent_ends_and_nothing_more_is_sent(make_bench, make_call):
    bench = make_bench(consent_timeout_ms=300)
    call = make_call(bench)
    expired = {bench.event(ConsentExpired).transport for _ in range(2)}
    assert expired == {call.ann.handle, call.ben.handle}
    call.ann.proven.clear()
    call.ann.validate()
    call.send(1)
    totals = bench.until(rtp_forwarded=1)
    assert totals["drop.send_no_address"] >= 1
    assert not call.ben.has_mail()


def test_transport_wide_feedback_reports_what_arrived(call):
    for index in range(5):
        call.send(index, transport_sequence=1_000 + index)
    while True:
        compound = call.ann.receive_rtcp()
        at = 0
        while at < len(compound):
            first, kind, words = struct.unpack_from("!BBH", compound, at)
            if kind == 205 and first & 31 == 15:
                base, status_count = struct.unpack_from("!HH", compound, at + 12)
                assert (base, status_count) == (1_000, 5)
                assert struct.unpack_from("!I", compound, at + 8)[0] == call.SSRC
                return
            at += 4 * (words + 1)


def test_every_datagram_is_forwarded_answered_or_has_one_reason(call):
    bench, rng = call.bench, random.Random(11)
    before = bench.until(transports=2)
    junk = [rng.randbytes(rng.randrange(1, 1_400)) for _ in range(300)] + [bytes(3_000)]
    for datagram in junk:
        call.ann.send(datagram)
    for sequence in range(20):
        call.send(sequence)
    sent = len(junk) + 20
    totals = bench.until(rtp_forwarded=20, packets_received=before["packets_received"] + sent)
    dropped = sum(totals[f"drop.{reason}"] for reason in core_api.DROP_REASONS)
    records = totals["dtls_records"]
    dropped -= totals["drop.event_ring_full"]
    assert dropped + records == len(junk)
    assert totals["drop.oversize"] == 1
    assert totals["drop.unknown_first_byte"] > 0


def test_a_flood_of_dtls_fills_half_the_ring_and_other_events_still_come(make_bench, make_peer):
    bench = make_bench(event_ring_size=8)
    router = bench.open_router()
    peer, other = make_peer(router, bench=bench), make_peer(router, bench=bench)
    peer.validate()
    assert bench.event(IceValidated)
    for _ in range(50):
        peer.send(CLIENT_HELLO)
    bench.until(dtls_records=50, drop__event_ring_full=46)
    other.validate()
    bench.take_events()
    assert [type(event) for event in bench.events] == [DtlsDatagram] * 4 + [IceValidated]
    assert bench.worker.counters()["events_dropped"] == 0


def test_the_control_plane_that_never_drains_loses_events_by_count(make_bench):
    bench = make_bench(event_ring_size=4)
    for router in range(10):
        bench.submit(core_api.CloseRouter(router))
    bench.until(events_dropped=6)
    assert len(decode_events(bench.worker.drain())) == 4
    assert decode_events(bench.worker.drain()) == []


def test_what_ends_leaves_nothing_behind(call):
    bench = call.bench
    bench.until(transports=2, publishers=1, subscribers=1)
    bench.submit(core_api.Unpublish(call.publisher))
    bench.until(transports=2, publishers=0, subscribers=0)
    bench.submit(core_api.CloseTransport(call.ann.handle))
    call.ann.send(call.ann.check())
    bench.until(transports=1, drop__stun_unknown_ufrag=1)
    bench.submit(core_api.CloseRouter(call.router))
    bench.until(transports=0)
    assert bench.snapshot(call.router) is None


def test_a_publisher_whose_transport_closes_ends_with_its_subscribers(call):
    call.bench.submit(core_api.CloseTransport(call.ann.handle))
    call.bench.until(transports=1, publishers=0, subscribers=0)
    call.bench.submit(core_api.Unsubscribe(call.subscriber))
    failed = call.bench.event(CommandFailed)
    assert failed == CommandFailed("unsubscribe", call.subscriber, "unknown_handle")


def test_what_a_session_counted_outlives_it(call):
    call.send(1)
    call.ben.receive_rtp()
    call.bench.submit(core_api.CloseRouter(call.router))
    call.bench.until(transports=0, rtp_received=1, rtp_forwarded=1)


def test_the_snapshot_reports_where_a_peer_is_and_no_secret(call):
    call.send(1)
    call.ben.receive_rtp()
    snapshot = call.bench.snapshot(call.router)
    ports = {transport.remote for transport in snapshot.transports}
    assert ports == {f"127.0.0.1:{peer.socket.getsockname()[1]}" for peer in (call.ann, call.ben)}
    (up_track,) = snapshot.forwarding.up_tracks
    assert (up_track.publisher, up_track.packets) == (call.publisher, 1)
    assert "password" not in str(snapshot)


def test_a_wildcard_worker_answers_from_the_address_it_was_asked_at(make_bench, make_peer):
    for host in ("0.0.0.0", "::"):
        bench = make_bench(host)
        peer = make_peer(bench.open_router(), bench=bench, ip="127.0.0.7")
        peer.validate()
        bench.submit(core_api.SendDtls(peer.handle, b"\x16hello"))
        assert peer.receive() == b"\x16hello"


def test_ipv6_peers_are_served(make_bench, make_peer):
    bench = make_bench("::")
    peer = make_peer(bench.open_router(), bench=bench)
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as six:
        six.settimeout(10)
        six.sendto(peer.check(), ("::1", bench.worker.local_port))
        answer = six.recv(2_048)
    assert answer[:2] == b"\x01\x01"


def test_close_leaves_no_thread_and_no_descriptor():
    def alive():
        return open_descriptors() | {(task.name, "task") for task in TASKS.iterdir()}

    native.Worker(msgpack.packb({"host": "127.0.0.1"})).close()
    before = alive()
    for _ in range(5):
        worker = native.Worker(msgpack.packb({"host": "127.0.0.1"}))
        worker.submit(encode_command(core_api.OpenRouter(1, PayloadAccess.OPAQUE)))
        worker.close()
        worker.close()
        with pytest.raises(RuntimeError, match="has ended"):
            worker.submit(encode_command(core_api.OpenRouter(2, PayloadAccess.OPAQUE)))
        with pytest.raises(RuntimeError, match="has ended"):
            worker.snapshot(1)
        assert decode_events(worker.drain()) == []
        del worker
    assert alive() - before == set()


def test_a_port_in_use_and_a_host_that_is_no_address_are_distinguished(bench):
    with pytest.raises(OSError, match="in use"):
        native.Worker(msgpack.packb({"host": "127.0.0.1", "port": bench.worker.local_port}))
    with pytest.raises(ValueError, match="IP address"):
        native.Worker(msgpack.packb({"host": "localhost"}))


def test_every_figure_and_every_reason_has_a_total(bench):
    totals = bench.worker.counters()
    figures = {info.name for info in core_api.COUNTERS}
    reasons = {f"drop.{reason}" for reason in core_api.DROP_REASONS}
    assert set(totals) == figures | reasons


def test_threads_may_share_a_worker(bench):
    def submit(first):
        for router in range(first, first + 100):
            bench.submit(core_api.OpenRouter(router, PayloadAccess.CLEAR))
            assert bench.snapshot(router).router == router

    threads = [threading.Thread(target=submit, args=(1_000 * n,)) for n in range(1, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    bench.take_events()
    assert bench.events == []
