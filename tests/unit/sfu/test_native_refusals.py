"""Commands that the media core refuses: the plane is never half alive."""

import re

import pytest

from sfu import core_api
from sfu.core_api import CommandFailed, Direction
from sfu.downlink_offers import OFFER_INTERVAL_S


@pytest.mark.parametrize(
    ("command", "reported"),
    [
        ("publish", ("lost", Direction.UPLINK)),
        ("set_srtp_keys", ("lost", Direction.UPLINK)),
        ("declare_kids", ("live", "st")),
    ],
)
async def test_what_the_core_refuses_is_never_half_alive(scene, peers, command, reported):
    await scene.publish("ann")
    handle = (
        scene.last(core_api.Publish).publisher
        if command == "publish"
        else peers.transport_of(scene.router, Direction.UPLINK)
    )
    scene.router.deliver(CommandFailed(command, handle, "ssrc_taken"))
    scene.clock.run_soon()
    assert scene.members["ann"][1].reported[-1] == reported
    assert scene.plane.counters()[f"commands_failed.{command}"] == 1


def refuse(scene, monkeypatch, kind):
    """The core finds commands of this kind malformed, for as long as the patch lasts."""
    submit = scene.router.submit

    def refused(command):
        if type(command) is kind:
            raise ValueError("malformed")
        submit(command)

    monkeypatch.setattr(scene.router, "submit", refused)


@pytest.mark.parametrize("kind", [core_api.SetPeerCredentials, core_api.Publish])
async def test_a_publish_that_fails_leaves_nothing_and_the_next_one_works(
    scene, peers, monkeypatch, kind
):
    media, _, up, _ = scene.member("ann")
    with monkeypatch.context() as patch:
        refuse(scene, patch, kind)
        with pytest.raises(ValueError):
            await media.publish("st", up.offer(), peers.TRACKS)
    assert media.dump().transports == ()
    assert scene.router.transports == {}
    assert scene.session.streams == {}
    await scene.publish("ann")
    assert len(scene.router.sent(core_api.SetPeerCredentials)[-1].pwd) >= 22
    assert scene.members["ann"][1].reported == [("live", "st")]


async def test_a_restart_the_core_refuses_is_as_if_it_never_was(scene, monkeypatch):
    await scene.publish("ann")
    media, _, up, _ = scene.members["ann"]
    offer = re.sub(r"a=ice-pwd:\S+", "a=ice-pwd:" + "n" * 24, up.offer())
    with monkeypatch.context() as patch:
        refuse(scene, patch, core_api.SetPeerCredentials)
        with pytest.raises(ValueError):
            media.restart_uplink(offer)
    reported = len(scene.router.sent(core_api.SetPeerCredentials))
    media.restart_uplink(offer)
    assert [one.pwd for one in scene.router.sent(core_api.SetPeerCredentials)[reported:]] == [
        "n" * 24
    ]


async def test_a_player_the_core_refuses_has_no_downlink(scene, monkeypatch):
    await scene.publish("ann")
    media, _, down, _ = scene.member("ben")
    offer = down.offer().replace("a=sendrecv", "a=recvonly")
    with monkeypatch.context() as patch:
        refuse(scene, patch, core_api.SetPeerCredentials)
        with pytest.raises(ValueError):
            media.play("su", "st", offer)
    assert media.dump().transports == ()
    media.play("su", "st", offer)


async def test_a_subscription_the_core_refuses_is_ended_and_offered_away(scene):
    await scene.publish("ann")
    scene.subscribe("ben")
    handle = scene.last(core_api.Subscribe).subscriber
    scene.router.deliver(CommandFailed("subscribe", handle, "ssrc_taken"))
    scene.clock.advance(OFFER_INTERVAL_S)
    assert scene.members["ben"][1].offers[-1].tracks == ()
    assert scene.router.sent(core_api.Unsubscribe) == []
