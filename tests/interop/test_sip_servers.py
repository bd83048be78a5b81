"""SIP calls to a real server (sipp): passwords, refusals, digits by INFO, redirections."""

import asyncio
import os
import signal
import ssl
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import opentok
import pytest
from opentok import exceptions

from config.settings import CallbackSettings, EgressSettings
from sfu.egress.sip import g711
from tests.interop.test_sip_calls import PHONE_HZ, callbacks, dial, hears, notices, states
from tests.media_site import media_site
from tests.official.stage import make_certificate
from tests.served import NEEDS_THE_MEDIA_CORE, Server, until
from tests.sipp import NEEDS_SIPP, PASSWORD, USER, Sipp, announces, answers, refuses

__all__ = ["callbacks"]
pytestmark = [
    pytest.mark.interop,
    pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning"),
    NEEDS_THE_MEDIA_CORE,
    NEEDS_SIPP,
]


@pytest.fixture
async def site(tmp_path):
    local = "127.0.0.0/8"
    settings = {
        "egress": EgressSettings(allowed_networks=local),
        "callbacks": CallbackSettings(allowed_networks=local),
    }
    async with media_site(tmp_path / "site", **settings) as one:
        yield one


@pytest.fixture
async def sipp(tmp_path):
    opened: list[Sipp] = []

    async def open_sipp(scenario: str, transport: str = "udp") -> Sipp:
        one = Sipp(tmp_path / f"sipp{len(opened)}", scenario, transport)
        await one.open()
        opened.append(one)
        return one

    yield open_sipp
    for one in opened:
        await one.close()


async def test_a_password_a_header_and_digits_reach_a_server(site, sipp, callbacks):
    server = await sipp(answers(algorithm="MD5", digits=2))
    session = await site.session()
    call = await dial(
        site,
        session,
        server.uri,
        auth={"username": USER, "password": PASSWORD},
        headers={"X-Room": "7"},
        **{"from": "15551234@example.com"},
    )
    await until(lambda: "ACTIVE" in states(callbacks), 20)
    await asyncio.to_thread(site.application.play_dtmf, session, call.connectionId, "5#")
    await until(lambda: "Signal=#" in server.messages, 20)
    await asyncio.to_thread(site.application.force_disconnect, session, call.connectionId)
    assert await server.over() == 0
    assert "X-Room: 7" in server.messages
    assert "From: <sip:15551234@example.com>" in server.messages
    assert PASSWORD not in server.messages


@pytest.mark.parametrize(
    ("scenario", "code"),
    [
        (answers(algorithm="MD5"), 403),
        (refuses("486 Busy Here"), 486),
        pytest.param("", 408, marks=pytest.mark.long),
    ],
)
async def test_the_application_learns_why_a_call_was_not_answered(
    site, sipp, callbacks, scenario, code
):
    # Nobody is at the discard port.
    uri = (await sipp(scenario)).uri if scenario else "sip:ann@127.0.0.1:9"
    session = await site.session()
    await dial(site, session, uri, auth={"username": USER, "password": "wrong"})
    await until(lambda: callbacks and callbacks[-1]["event"] == "callDestroyed", 30)
    assert callbacks[-1]["reason_code"] == code
    assert "ACTIVE" not in states(callbacks)


async def test_the_application_learns_that_nobody_takes_the_connection(site, callbacks):
    session = await site.session()
    await dial(site, session, "sip:ann@127.0.0.1:9;transport=tcp")
    await until(lambda: callbacks and callbacks[-1]["event"] == "callDestroyed", 30)
    assert callbacks[-1]["reason_code"] == 503


async def test_a_redirection_is_followed_once(site, sipp, callbacks):
    last = await sipp(answers())
    first = await sipp(refuses("302 Moved Temporarily", last.uri))
    session = await site.session()
    call = await dial(site, session, first.uri)
    await until(lambda: "ACTIVE" in states(callbacks), 20)
    await asyncio.to_thread(site.application.force_disconnect, session, call.connectionId)
    assert (await first.over(), await last.over()) == (0, 0)
    moved = await sipp(refuses("302 Moved Temporarily", "sip:ann@10.0.0.1"))
    await dial(site, session, moved.uri)
    await until(lambda: [one.get("reason_code") for one in callbacks][-1:] == [503], 20)


async def test_audio_before_the_answer_reaches_the_session(site, sipp, tmp_path, callbacks):
    wave = np.sin(np.arange(8_000) * 2 * np.pi * PHONE_HZ / 8_000).astype(np.float32) / 2
    (tmp_path / "tone").write_bytes(g711.encode("PCMU", wave))
    server = await sipp(announces(tmp_path / "tone"))
    session = await site.session()
    ben = await site.join(session)
    call = await dial(site, session, server.uri)
    await until(lambda: call.streamId in ben.streams, 20)
    await hears(await ben.subscribe(ben.streams[call.streamId]), PHONE_HZ)
    assert states(callbacks) == ["DIALING", "RINGING"]
    await until(lambda: states(callbacks) == ["DIALING", "RINGING", "ACTIVE"], 20)
    assert call.streamId in ben.streams
    await asyncio.to_thread(site.application.force_disconnect, session, call.connectionId)
    assert await server.over() == 0


async def test_a_call_whose_process_is_killed_is_over(site, sipp, callbacks):
    server = await sipp(answers())
    await dial(site, await site.session(), server.uri)
    await until(lambda: "ACTIVE" in states(callbacks), 20)
    (process,) = [
        one
        for one in descendants(os.getpid())
        if "sip.zygote" in command(one) and "sip.zygote" in command(parent(one))
    ]
    os.kill(process, signal.SIGKILL)
    await until(lambda: callbacks[-1]["event"] == "callDestroyed", 20)
    assert (callbacks[-1]["reason_code"], callbacks[-1]["reason_message"]) == (703, "unexpected")


@pytest.mark.long
@pytest.mark.timeout(240)  # two starts of a server, on a machine that may be busy
async def test_a_server_that_is_killed_hangs_up_and_reports_the_end_at_its_next_start(
    tmp_path, sipp
):
    local = dict.fromkeys(
        ("SEALROUTE_EGRESS_ALLOWED_NETWORKS", "SEALROUTE_CALLBACKS_ALLOWED_NETWORKS"),
        "127.0.0.0/8",
    )
    server = Server(tmp_path / "data", e2ee=False, config=local)
    await server.start()
    application = opentok.Client(server.api_key, server.project["apiSecret"], api_url=server.url)
    telephone = await sipp(answers())
    site = SimpleNamespace(
        url=server.url,
        key=server.api_key,
        application=application,
        rest_token=application._create_jwt_auth_header,
        token=application.generate_token,
    )
    async with notices(site) as callbacks:
        call = await dial(site, server.session_id, telephone.uri)
        await until(lambda: "ACTIVE" in states(callbacks), 60)
        server.process.kill()
        assert await telephone.over() == 0  # it got its BYE
        await server.serve()
        await until(lambda: callbacks[-1]["event"] == "callDestroyed", 60)
        assert callbacks[-1]["call"]["id"] == call.id
        assert callbacks[-1]["reason_code"] == 703
        assert list((server.folder / "calls").iterdir()) == []
    await server.stop()


def parent(process: int) -> int:
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])


def command(process: int) -> str:
    return Path(f"/proc/{process}/cmdline").read_bytes().decode(errors="replace")


def descendants(process: int) -> list[int]:
    children = [
        int(one) for one in Path(f"/proc/{process}/task/{process}/children").read_text().split()
    ]
    return [each for child in children for each in (child, *descendants(child))]


async def test_a_server_without_a_certificate_that_is_trusted_gets_no_call(
    site, tmp_path, callbacks
):
    chain, key = make_certificate(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(chain, key)
    sent: list[bytes] = []

    async def take(reader, writer) -> None:
        sent.append(await reader.read())
        writer.close()

    server = await asyncio.start_server(take, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    await dial(site, await site.session(), f"sips:ann@127.0.0.1:{port}")
    await until(lambda: callbacks and callbacks[-1]["event"] == "callDestroyed", 30)
    assert callbacks[-1]["reason_code"] == 503
    assert not any(sent)
    server.close()


async def test_an_address_inside_is_not_called(site):
    session = await site.session()
    with pytest.raises(exceptions.SipDialError):
        await dial(site, session, "sip:ann@10.0.0.1")
