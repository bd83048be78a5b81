"""Several nodes on one database: any of them answers, each session lives at one of them."""

from dataclasses import replace

import opentok
import pytest

from tests.interop.test_running_server import expect
from tests.node_world import AWAY, closed, identity, room

pytestmark = [
    pytest.mark.interop,
    pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning"),
]


async def test_clients_at_two_nodes_are_in_one_session(nodes):
    there = await room(nodes, 0, 1)
    here, guest = there.sockets
    assert len(there.welcomes[1]["connections"]) == 2
    assert (await expect(here, "connectionCreated"))["connection"]["connectionId"] == identity(
        there.welcomes[1]
    )
    for sender, receiver in ((here, guest), (guest, here)):
        await sender.send_json({"t": "signal", "id": 7, "type": "chat", "data": "hello"})
        assert (await expect(sender, "ok"))["re"] == 7
        assert (await expect(receiver, "signalReceived"))["data"] == "hello"
    assert nodes.clusters()[1].homes == {}
    assert await nodes.metric(1, "sealroute_clients_gated") == 1


async def test_rest_reaches_a_session_over_any_node(nodes):
    there = await room(nodes, 0, 1)
    other = nodes.sites[1]
    await other.call(other.application.send_signal, there.session, {"type": "t", "data": "d"})
    for socket in there.sockets:
        assert (await expect(socket, "signalReceived"))["data"] == "d"
    gone = identity(there.welcomes[0])
    await other.call(other.application.force_disconnect, there.session, gone)
    assert (await expect(there.sockets[0], "disconnected"))["reason"] == "forceDisconnected"
    with pytest.raises(opentok.ForceDisconnectError):
        await other.call(other.application.force_disconnect, there.session, gone)
    assert await nodes.metric(1, "sealroute_requests_forwarded_total") == 3
    assert await nodes.metric(0, "sealroute_requests_forwarded_total") == 0


async def test_a_guest_that_is_disconnected_hears_why(nodes):
    there = await room(nodes, 0, 1)
    here, guest = there.sockets
    await here.send_json(
        {"t": "forceDisconnect", "id": 9, "connectionId": identity(there.welcomes[1])}
    )
    assert (await expect(guest, "disconnected"))["reason"] == "forceDisconnected"
    assert await closed(guest) == 4403


async def test_what_a_guest_may_not_do_is_refused_as_at_home(nodes):
    there = await room(nodes, 0, 1)
    guest = there.sockets[1]
    await guest.send_json({"t": "unpublish", "id": 5, "streamId": "nothing"})
    refused = await expect(guest, "error")
    assert (refused["re"], refused["code"]) == (5, "stream_not_found")
    await guest.send_json({"t": "nonsense", "id": 6})
    refused = await expect(guest, "error")
    assert (refused["re"], refused["code"]) == (6, "invalid_message")


async def test_a_refused_join_says_at_any_node_why(nodes):
    first = nodes.sites[0]
    session = await first.session()
    socket = await first.join(session, first.token(session))
    await expect(socket, "welcome")
    stranger = await nodes.sites[1].join(session, "T1==nonsense")
    assert (await expect(stranger, "error"))["code"] == "authentication_failed"
    lost = await nodes.sites[1].join(session, first.token(session), resume="a.b")
    refused = await expect(lost, "error")
    assert (refused["re"], refused["code"]) == (1, "resume_unknown")


async def test_a_connection_is_resumed_through_another_node(nodes):
    there = await room(nodes, 0, 1)
    lost, welcome = there.sockets[1], there.welcomes[1]
    await lost.close()
    await there.sockets[0].send_json({"t": "signal", "id": 7, "data": "meanwhile"})
    await expect(there.sockets[0], "ok")
    again = await nodes.sites[0].join(there.session, "", resume=welcome["resume"], received=0)
    resumed = await expect(again, "welcome")
    assert resumed["resumed"]
    assert identity(resumed) == identity(welcome)
    assert (await expect(again, "signalReceived"))["data"] == "meanwhile"


async def test_the_end_of_a_home_sends_its_guests_to_the_next_one(nodes):
    there = await room(nodes, 1)
    guest = await nodes.sites[0].join(there.session, nodes.sites[0].token(there.session))
    await expect(guest, "welcome")
    home = nodes.clusters()[1].me
    nodes.network.end(home)
    assert await closed(guest) == AWAY
    again = await nodes.sites[0].join(there.session, nodes.sites[0].token(there.session))
    assert len((await expect(again, "welcome"))["connections"]) == 1
    assert nodes.network.table.home_of(there.session).incarnation != home


async def test_a_session_that_moved_takes_its_clients_along(nodes):
    there = await room(nodes, 0, 1)
    one, other = nodes.clusters()
    nodes.network.give(there.session, other.me)
    for socket in there.sockets:
        assert await closed(socket) == AWAY
    again = await nodes.sites[0].join(there.session, nodes.sites[0].token(there.session))
    await expect(again, "welcome")
    assert one.used == set()
    assert other.used == {there.session}


async def test_a_home_with_another_epoch_is_greeted_again(nodes):
    there = await room(nodes, 0, 1)
    nodes.clusters()[0].renew(there.session)
    assert await closed(there.sockets[1]) == AWAY
    again = await nodes.sites[1].join(
        there.session, "", resume=there.welcomes[1]["resume"], received=0
    )
    assert (await expect(again, "welcome"))["resumed"]


async def listed(site, **query):
    """The sessions with clients, as this node lists them."""
    url = f"{site.url}/v2/project/{site.key}/session"
    headers = site.application.get_headers()
    async with site.http.get(url, params=query, headers=headers) as answer:
        assert answer.status == 200
        return await answer.json()


async def test_any_node_lists_the_sessions_of_all_nodes(nodes):
    one, other = nodes.sites
    sessions = []
    for site in (one, other, one):
        session = await one.session()
        sessions.append(session)
        await expect(await site.join(session, one.token(session)), "welcome")
    assert len(nodes.clusters()[1].homes) == 1
    lists = [await listed(site) for site in nodes.sites]
    assert lists[0] == lists[1]
    assert lists[0]["count"] == 3
    assert [item["sessionId"] for item in lists[0]["items"]] == sessions
    assert "nodesLeftOut" not in lists[0]
    for offset in range(3):
        page = await listed(other, offset=str(offset), count="1")
        assert (page["count"], page["items"]) == (3, [lists[0]["items"][offset]])
    named = await listed(other, sessionId=sessions[0])
    assert (named["count"], named["items"]) == (1, [lists[0]["items"][0]])


async def test_a_list_names_the_nodes_that_did_not_answer(nodes, monkeypatch):
    one, other = nodes.sites
    session = await one.session()
    await expect(await other.join(session, one.token(session)), "welcome")
    row = nodes.network.rows[nodes.clusters()[1].me]
    nodes.network.rows[row.incarnation] = replace(row, link_url="https://127.0.0.1:9")
    found = await listed(one)
    assert (found["count"], found["items"], found["nodesLeftOut"]) == (0, [], ["n1"])


async def test_requests_about_an_empty_session_make_no_node_its_home(nodes):
    one, other = nodes.sites
    session = await one.session()
    for site in nodes.sites:
        streams = await site.call(site.application.list_streams, session)
        assert streams.count == 0
        with pytest.raises(opentok.exceptions.RequestError):
            await site.call(site.application.send_signal, session, {"type": "t", "data": "d"})
        with pytest.raises(opentok.ForceDisconnectError):
            await site.call(site.application.force_disconnect, session, "nobody")
    assert nodes.network.table.home_of(session) is None
    await expect(await other.join(session, one.token(session)), "welcome")
    assert nodes.network.table.home_of(session).incarnation == nodes.clusters()[1].me
