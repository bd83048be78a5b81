"""Sessions are created as every SDK asks for them."""

import base64
import os

import pytest

from signaling.domain.projects import new_project

# --- session create -----------------------------------------------------------------------


async def test_a_created_session_is_answered_in_the_one_shape_all_sdks_read(caller):
    status, body = await caller.call("POST", "/session/create")
    assert status == 200
    assert caller.content_type == "application/json"
    assert len(body) == 1
    encoded = body[0]["session_id"][2:]
    fields = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode().split("~")
    assert fields[1] == caller.project.api_key
    record = await caller.server.store.session(body[0]["session_id"])
    assert (record.options.media_mode, record.options.e2ee) == ("routed", False)


@pytest.mark.parametrize("spelling", ["true", "True", "TRUE"])
@pytest.mark.parametrize("label", ["application/x-www-form-urlencoded", "application/json"])
async def test_encryption_is_read_in_every_spelling_and_under_every_content_type(
    caller, spelling, label
):
    status, body = await caller.call(
        "POST",
        "/session/create",
        data=f"media_mode=routed&e2ee={spelling}&p2p.preference=disabled".encode(),
        extra={"Content-Type": label},
    )
    assert status == 200
    assert (await caller.server.store.session(body[0]["session_id"])).options.e2ee is True


async def test_a_json_body_creates_a_session_too(caller):
    status, body = await caller.call("POST", "/session/create", json={"e2ee": True})
    assert status == 200
    assert (await caller.server.store.session(body[0]["session_id"])).options.e2ee is True


async def test_below_the_e2ee_base_path_sessions_are_encrypted_unless_configured_otherwise(caller):
    for data, encrypted in (({}, True), ({"e2ee": "false"}, False)):
        _, body = await caller.call("POST", "/e2ee/session/create", data=data)
        record = await caller.server.store.session(body[0]["session_id"])
        assert record.options.e2ee is encrypted


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("e2ee=yes", 15903),
        ("e2ee=", 15903),
        ("e2ee=1", 15903),
        ("e2ee=true&e2ee=false", 400),
        ("e2ee=true&p2p.preference=enabled", 15901),
        ("e2ee=True&p2p.preference=relayed", 15901),
        ("e2ee=true&archiveMode=always&p2p.preference=disabled", 15902),
        ("archiveMode=always&p2p.preference=enabled", 400),
        ("archiveMode=never", 400),
        ("p2p.preference=maybe", 400),
        ("location=here", 400),
        ("location=::1", 400),
        ("archiveName=x", 400),
        ("archiveResolution=1x1&archiveMode=always", 400),
        ("archiveName=" + "x" * 81 + "&archiveMode=always", 400),
        ('{"e2ee": 1}', 15903),
        ('{"e2ee": "maybe"}', 15903),
        ('{"e2ee": true, "e2ee": false}', 400),
        ('{"x": [{"y": 1, "y": 1}]}', 400),
        ("{", 400),
        ("&&&=", 400),
    ],
)
async def test_options_that_do_not_exist_are_400_and_make_no_session(caller, body, code):
    status, answer = await caller.call("POST", "/session/create", data=body.encode())
    assert (status, answer["code"]) == (400, code)


@pytest.mark.parametrize(
    "body",
    [
        "archiveMode=manual&location=null&p2p.preference=disabled",
        "archiveMode=manual&location=null&p2p.preference=routed",
        "archiveMode=always&media_mode=relayed&p2p.preference=disabled",
        "p2p.preference=enabled&archiveMode=manual&location=12.34.56.78&e2ee=false",
        "archiveMode=always&archiveName=n&archiveResolution=1280x720&p2p.preference=disabled",
        "",
    ],
)
async def test_what_the_sdks_send_is_accepted(caller, body):
    assert (await caller.call("POST", "/session/create", data=body.encode()))[0] == 200


async def test_a_project_without_the_add_on_gets_no_encrypted_session(caller):
    plain = new_project(random_bytes=os.urandom(44), now_ms=0, e2ee_enabled=False)
    await caller.server.store.add_project(plain)
    caller.project = plain
    status, body = await caller.call("POST", "/session/create", data={"e2ee": "true"})
    assert (status, body["error"]) == (400, "e2ee_not_enabled")


async def test_a_unified_project_finds_its_application_id_in_the_session_id(caller):
    status, body = await caller.call("POST", "/session/create", headers=caller.unified())
    assert status == 200
    encoded = body[0]["session_id"][2:]
    text = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
    assert text.split("~")[1] == caller.project.application_id == body[0]["application_id"]


async def test_sdks_that_do_not_ask_for_json_get_xml(caller):
    await caller.call("POST", "/session/create", extra={"Accept": "*/*"})
    assert caller.content_type == "text/xml"
    assert b"<sessions><Session><session_id>2_" in caller.raw
    assert f"<partner_id>{caller.project.api_key}</partner_id>".encode() in caller.raw


async def test_the_sdk_that_reads_error_messages_from_xml_gets_xml(caller):
    agent = {"User-Agent": "OpenTok-Python-SDK/3.15.0 python/3.11.7"}
    await caller.call("POST", "/session/create", data={"e2ee": "x"}, extra=agent)
    assert caller.content_type == "text/xml"
    assert b'<error code="15903"><badRequest message=' in caller.raw
