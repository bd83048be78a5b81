"""What the plane asks of the media core, on virtual time."""

import asyncio
import random

import pytest

from sfu import core_api
from sfu.core_api import (
    Codec,
    CommandFailed,
    ConsentExpired,
    Direction,
    DtlsDatagram,
    Extension,
    IceValidated,
    MediaKind,
    PayloadAccess,
    PreferredLayers,
    SrtpProfile,
)
from sfu.downlink_offers import OFFER_INTERVAL_S
from sfu.media_plane import MediaError
from sfu.sdp.parse import parse

ALL = frozenset(MediaKind)
CODECS = frozenset(Codec)


async def test_an_encrypted_session_is_opaque_in_the_core_and_a_clear_one_is_not(scene):
    assert scene.last(core_api.OpenRouter).access is PayloadAccess.OPAQUE
    scene.plane.open_session("clear", e2ee=False)
    assert scene.last(core_api.OpenRouter).access is PayloadAccess.CLEAR


async def test_a_publisher_is_asked_to_keep_its_video_to_the_projects_bit_rate(scene, peers):
    """RFC 3890 for who knows it, RFC 8866's AS for the others; audio needs no limit."""
    limited = scene.plane.open_session("limited", e2ee=True, max_publish_bps=700_500)
    media = limited.open_client("bob", peers.Listener())
    answer = await media.publish("st", peers.PeerConnection().offer(), peers.TRACKS)
    audio_frame, video = answer.sdp.split("m=")[1:]
    assert audio_frame.startswith("audio")
    assert "b=" not in audio_frame
    assert "b=AS:700\r\nb=TIAS:700500\r\n" in video
    assert "b=" not in (await scene.publish("ann")).sdp


async def test_nothing_is_opened_before_it_is_needed(scene):
    scene.member("ann")
    assert scene.router.transports == {}


async def test_the_core_learns_the_keys_of_the_handshake_and_the_negotiated_up_track(scene, peers):
    answer = await scene.publish("ann")
    keys = scene.last(core_api.SetSrtpKeys).secrets
    assert keys.profile is SrtpProfile.AEAD_AES_128_GCM
    ours = scene.members["ann"][2].ssl.export_keying_material(b"EXTRACTOR-dtls_srtp", 56)
    assert (keys.receive_key, keys.send_key) == (ours[:16], ours[16:32])
    publish = scene.last(core_api.Publish)
    assert [up_track.mid for up_track in publish.up_tracks] == ["0", "1"]
    assert publish.up_tracks[1].declared_kids == (peers.KID,)
    opened = scene.last(core_api.OpenTransport)
    assert opened.local_ufrag == parse(answer.sdp).media[0].transport.ice_ufrag
    assert opened.local_pwd not in repr(opened)


async def test_no_handshake_before_ice(scene, peers):
    await scene.publish("ann", connect=False)
    handle = peers.transport_of(scene.router, Direction.UPLINK)
    (hello,) = scene.members["ann"][2].step([])
    scene.router.deliver(DtlsDatagram(handle, hello))
    assert scene.router.sent(core_api.SendDtls) == []
    assert scene.plane.counters()["dtls_before_ice"] == 1
    scene.router.deliver(IceValidated(handle), DtlsDatagram(handle, hello))
    assert len(scene.router.sent(core_api.SendDtls)) == 1


async def test_a_client_that_never_shows_up_loses_its_transport(scene):
    await scene.publish("ann", connect=False)
    scene.clock.advance(29)
    assert scene.members["ann"][1].reported == []
    scene.clock.advance(2)
    assert scene.members["ann"][1].reported == [("lost", Direction.UPLINK)]
    assert scene.router.transports == {}
    assert scene.plane.counters()["handshakes.ice_timeout"] == 1


async def test_a_handshake_that_stands_still_ends_after_ten_seconds(scene, peers):
    await scene.publish("ann", connect=False)
    handle = peers.transport_of(scene.router, Direction.UPLINK)
    (hello,) = scene.members["ann"][2].step([])
    scene.router.deliver(IceValidated(handle), DtlsDatagram(handle, hello))
    scene.clock.advance(9)
    assert len(scene.router.sent(core_api.SendDtls)) > 3
    scene.clock.advance(2)
    assert scene.members["ann"][1].reported == [("lost", Direction.UPLINK)]
    assert scene.clock.timers == 0


async def test_another_certificate_than_in_the_offer_never_gets_keys(scene, peers):
    media, listener, up, _ = scene.member("ann")
    liar = peers.PeerConnection()
    await media.publish("st", up.offer(), peers.TRACKS)
    peers.connect_through(scene.router, peers.transport_of(scene.router, Direction.UPLINK), liar)
    scene.clock.run_soon()
    assert scene.router.sent(core_api.SetSrtpKeys) == []
    assert listener.reported == [("lost", Direction.UPLINK)]
    assert scene.plane.counters()["handshakes.fingerprint_mismatch"] == 1


async def test_the_peers_good_bye_ends_the_transport(scene, peers):
    await scene.publish("ann")
    handle = peers.transport_of(scene.router, Direction.UPLINK)
    for datagram in scene.members["ann"][2].close_notify():
        scene.router.deliver(DtlsDatagram(handle, datagram))
    scene.clock.run_soon()
    assert scene.members["ann"][1].reported[-1] == ("lost", Direction.UPLINK)
    assert scene.router.transports == {}


async def test_a_handshake_may_be_done_before_the_answer_that_names_the_certificate(scene, peers):
    await scene.publish("ann")
    scene.subscribe("ben", connect=False)
    media, listener, _, down = scene.members["ben"]
    peers.connect_through(scene.router, peers.transport_of(scene.router, Direction.DOWNLINK), down)
    assert down.done
    assert len(scene.router.sent(core_api.SetSrtpKeys)) == 1
    media.answer_downlink(1, down.answer(listener.offers[0]))
    scene.clock.run_soon()
    assert len(scene.router.sent(core_api.SetSrtpKeys)) == 2
    assert listener.reported == [("connected", "su")]


async def test_a_subscription_reaches_the_core_when_it_can_flow(scene):
    await scene.publish("ann")
    scene.subscribe("ben", connect=False)
    media, listener, _, down = scene.members["ben"]
    media.set_subscriber_forwarding("su", MediaKind.VIDEO, forwarding=False)
    media.set_preferred_layers("su", PreferredLayers(320, 240, None))
    media.answer_downlink(1, down.answer(listener.offers[0]))
    assert scene.router.sent(core_api.Subscribe) == []
    scene.bench.connect(media, Direction.DOWNLINK, down)
    subscribe = scene.last(core_api.Subscribe)
    assert [(s.mid, s.up_track_mid) for s in subscribe.down_tracks] == [("0", "0"), ("1", "1")]
    assert subscribe.down_tracks[0].extensions == {
        Extension.MID: 1,
        Extension.AUDIO_LEVEL: 2,
        Extension.TRANSPORT_CC: 10,
    }
    assert subscribe.down_tracks[1].rtx_ssrc is not None
    kinds = [type(command) for command in scene.router.commands[-3:]]
    assert kinds == [
        core_api.Subscribe,
        core_api.SetDownTrackForwarding,
        core_api.SetPreferredLayers,
    ]


async def test_key_frames_after_a_change_of_secret_are_left_to_the_core(scene, peers):
    await scene.publish("ann")
    media = scene.members["ann"][0]
    new = peers.KID[:6] + b"\x33\x44"
    before = len(scene.router.commands)
    for kids in ([peers.KID, new], [new]):
        media.declare_kids("st", "1", kids)
    scene.clock.advance(1)
    assert [type(command) for command in scene.router.commands[before:]] == [
        core_api.DeclareKids
    ] * 2


async def test_muting_holds_back_the_up_tracks_of_that_kind(scene):
    await scene.publish("ann")
    scene.members["ann"][0].set_stream_forwarding("st", MediaKind.AUDIO, forwarding=False)
    (command,) = scene.router.sent(core_api.SetUpTrackForwarding)
    assert (command.mid, command.forwarding) == ("0", False)


async def test_another_certificate_while_streams_live_is_refused(scene, peers):
    await scene.publish("ann")
    other = peers.PeerConnection()
    while other.fingerprint == scene.members["ann"][2].fingerprint:
        other = peers.PeerConnection()
    tracks = (peers.TrackOffer("2", MediaKind.AUDIO, (peers.KID,)),)
    text = other.offer().replace("BUNDLE 0 1", "BUNDLE 0 1 2")
    audio = text[text.index("m=audio") : text.index("m=video")]
    audio = audio.replace("a=mid:0", "a=mid:2").replace("2994069626", "77")
    audio = "\r\n".join(x for x in audio.splitlines() if not x.startswith("a=ssrc")) + "\r\n"
    with pytest.raises(MediaError) as caught:
        await scene.members["ann"][0].publish("two", text + audio, tracks)
    assert caught.value.code == "setup_invalid"
    assert "two" not in scene.session.streams


async def test_a_new_peer_connection_after_the_last_stream_gets_a_new_transport(scene, peers):
    await scene.publish("ann")
    first = peers.transport_of(scene.router, Direction.UPLINK)
    media, listener, *_ = scene.members["ann"]
    media.unpublish("st")
    fresh = peers.PeerConnection()
    while fresh.fingerprint == scene.members["ann"][2].fingerprint:
        fresh = peers.PeerConnection()
    await media.publish("again", fresh.offer(), peers.TRACKS)
    assert peers.transport_of(scene.router, Direction.UPLINK) != first
    assert first not in scene.router.transports
    scene.bench.connect(media, Direction.UPLINK, fresh)
    scene.clock.run_soon()
    assert listener.reported == [("live", "st"), ("live", "again")]


async def test_late_events_of_what_is_gone_do_nothing(scene):
    for event in (IceValidated(99), DtlsDatagram(99, b"\x16"), ConsentExpired(99)):
        scene.router.deliver(event)
    scene.router.deliver(CommandFailed("subscribe", 99, "x"))


async def test_ending_works_after_the_core_has_ended(scene):
    await scene.publish("ann")
    scene.subscribe("ben")
    scene.router.closed = True
    scene.session.close()
    assert scene.plane.sessions == {}
    assert scene.plane.contexts[0].transports == {}


async def test_a_thousand_joins_and_leaves_leave_nothing_behind(scene, peers):
    dice = random.Random(5)
    await scene.publish("host", "host")
    present = []
    for number in range(1_000):
        name = f"m{number}"
        await scene.publish(name, name, connect=number % 4 == 0)
        scene.subscribe(name, f"{name}-host", "host", connect=number % 4 == 0)
        if present:
            scene.subscribe(name, f"{name}-x", dice.choice(present), connect=False)
        present.append(name)
        if len(present) > 5:
            leaving = present.pop(dice.randrange(len(present)))
            media = scene.members.pop(leaving)[0]
            if dice.random() < 0.3:
                scene.bench.lose(media, dice.choice(peers.BOTH))
            media.close()
        scene.clock.advance(0.1)
        await asyncio.sleep(0)  # what the core refused would be told now
    scene.session.close()
    scene.clock.run_soon()
    await asyncio.sleep(0)
    context, router = scene.plane.contexts[0], scene.router
    for table in (
        context.transports,
        context.publishers,
        context.subscribers,
        scene.plane.sessions,
        scene.session.streams,
        scene.session.clients,
        router.transports,
        router.publishers,
        router.subscribers,
        router.routers,
    ):
        assert not table
    assert scene.clock.timers == 0
    assert not [name for name in scene.plane.counters() if name.startswith("commands_failed")]


async def test_changes_soon_after_an_offer_share_the_next_one(scene):
    publishers = ("ann", "cid", "dot", "eve")
    for name in publishers:
        await scene.publish(name, stream=name)
    scene.subscribe("ben", "from ann", "ann")
    media, listener, _, _ = scene.members["ben"]
    for name in publishers[1:]:
        media.subscribe(f"from {name}", name, ALL, CODECS)
        scene.clock.run_soon()
    assert len(listener.offers) == 1
    scene.clock.advance(OFFER_INTERVAL_S)
    assert [len(offer.tracks) for offer in listener.offers] == [2, 8]


async def test_a_restart_changes_the_credentials_and_nothing_else(scene, peers):
    first = await scene.publish("ann")
    scene.subscribe("ben")
    handles = set(scene.router.transports)
    media, _, up, _ = scene.member("ann")
    ours = [parse(sdp).media[0].transport for sdp in (first.sdp, media.restart_uplink(up.offer()))]
    assert ours[0].ice_ufrag != ours[1].ice_ufrag
    assert ours[0].ice_pwd != ours[1].ice_pwd
    assert ours[0].fingerprints == ours[1].fingerprints
    assert ours[1].ice_ufrag in {t.local_ufrag for t in scene.router.transports.values()}
    receiver, listener, _, _ = scene.member("ben")
    receiver.restart_downlink()
    scene.clock.advance(OFFER_INTERVAL_S)
    scene.clock.run_soon()
    again = [parse(offer.sdp).media[0].transport.ice_ufrag for offer in listener.offers]
    assert len(set(again)) == 2
    assert set(scene.router.transports) == handles
    assert scene.plane.counters()["ice_restarts"] == 2


async def test_another_certificate_is_no_restart(scene, peers):
    await scene.publish("ann")
    media = scene.member("ann")[0]
    with pytest.raises(MediaError) as refused:
        media.restart_uplink(peers.PeerConnection().offer())
    assert refused.value.code == "setup_invalid"


async def test_with_a_peer_that_waits_for_it_the_handshake_begins_here(scene, peers):
    encoder, player = peers.PeerConnection(passive=True), peers.PeerConnection(passive=True)
    media, listener, _, _ = scene.member("ann")
    answer = await media.publish("st", encoder.offer(), peers.TRACKS)
    assert {one.transport.setup for one in parse(answer.sdp).media if not one.rejected} == {
        "active"
    }
    scene.clock.run_soon()
    assert scene.router.sent(core_api.SendDtls) == [], "nobody is known to be there before ICE"
    scene.bench.connect(media, Direction.UPLINK, encoder)
    scene.clock.run_soon()
    assert ("live", "st") in listener.reported
    keys = scene.last(core_api.SetSrtpKeys).secrets
    size, salt = len(keys.send_key), len(keys.send_salt)
    material = encoder.ssl.export_keying_material(b"EXTRACTOR-dtls_srtp", 2 * (size + salt))
    assert keys.send_key == material[:size], "the client's key is ours"
    assert keys.receive_key == material[size : 2 * size]
    scene.subscribe("ben", connect=False)
    offer = scene.members["ben"][1].offers[-1]
    scene.members["ben"][0].answer_downlink(offer.number, player.answer(offer))
    scene.bench.connect(scene.members["ben"][0], Direction.DOWNLINK, player)
    scene.clock.run_soon()
    assert scene.members["ben"][1].reported == [("connected", "su")]


async def test_a_first_flight_that_is_lost_is_sent_again(scene, peers):
    media, _, _, _ = scene.member("ann")
    await media.publish("st", peers.PeerConnection(passive=True).offer(), peers.TRACKS)
    handle = peers.transport_of(scene.router, Direction.UPLINK)
    scene.router.deliver(IceValidated(handle))
    assert len(scene.router.sent(core_api.SendDtls)) == 1
    scene.clock.advance(1)
    assert len(scene.router.sent(core_api.SendDtls)) > 1


async def test_the_dtls_role_stays_what_the_first_offer_made_it(scene, peers):
    media, _, up, _ = scene.member("ann")
    await scene.publish("ann")
    with pytest.raises(MediaError) as refused:
        media.restart_uplink(up.offer().replace("a=setup:actpass", "a=setup:passive"))
    assert refused.value.code == "setup_invalid"


async def test_a_handshake_that_breaks_on_what_the_peer_sends_has_a_reason_of_its_own(scene, peers):
    await scene.publish("ann", connect=False)
    handle = peers.transport_of(scene.router, Direction.UPLINK)
    (hello,) = scene.members["ann"][2].step([])
    broken = hello[:60] + bytes(len(hello) - 60)
    scene.router.deliver(IceValidated(handle), DtlsDatagram(handle, broken))
    scene.clock.advance(11)
    assert scene.plane.counters()["handshakes.handshake_broken"] == 1
