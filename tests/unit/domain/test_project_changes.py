"""What an operator may change of a project, and what is refused."""

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from signaling.domain.errors import BadRequest, NotFound, Unauthorized
from signaling.domain.project_changes import (
    MAX_GRACE_MS,
    ProjectChange,
    changed,
    key_id,
    rotated,
    with_key,
    without_key,
)
from signaling.domain.projects import MAX_PUBLIC_KEYS, new_project
from signaling.domain.rest_credentials import Credential, new_rest_token, verify_credential
from signaling.domain.roles import Role
from signaling.domain.tokens import TokenClaims, new_client_token, verify_client_token

NOW_S = 1_800_000_000
NEW = "cd" * 20


def project(**options):
    return new_project(random_bytes=bytes(range(44)), now_ms=0, **options)


def pem() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()
    return key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    ).decode()


def after(owner, grace_ms: int = 60_000):
    return rotated(owner, NEW, now_ms=NOW_S * 1_000, grace_ms=grace_ms)


def client_token(owner) -> str:
    claims = TokenClaims("2_x", Role.PUBLISHER, NOW_S + 3_600)
    return new_client_token(owner, claims, NOW_S, 1)


@pytest.mark.parametrize(("later_s", "is_valid"), [(0, True), (59, True), (60, False), (61, False)])
def test_the_old_secret_is_valid_for_the_grace_time_for_clients_and_for_rest(later_s, is_valid):
    before = project()
    token, rest = client_token(before), new_rest_token(before, NOW_S)
    now = after(before)
    credential = Credential("secret", rest, before.api_key)
    if is_valid:
        assert verify_client_token(token, now, "2_x", NOW_S + later_s).role is Role.PUBLISHER
        verify_credential(credential, now, NOW_S + later_s)
    else:
        with pytest.raises(Unauthorized):
            verify_client_token(token, now, "2_x", NOW_S + later_s)
        with pytest.raises(Unauthorized):
            verify_credential(credential, now, NOW_S + later_s)


def test_the_new_secret_is_valid_at_once_and_for_good():
    now = after(project())
    for later_s in (0, 59, 3_000):
        verify_client_token(client_token(now), now, "2_x", NOW_S + later_s)


def test_without_grace_the_old_secret_goes_at_once():
    before = project()
    with pytest.raises(Unauthorized):
        verify_client_token(client_token(before), after(before, grace_ms=0), "2_x", NOW_S)


def test_of_three_secrets_the_oldest_is_gone():
    first = project()
    third = rotated(after(first), "ef" * 20, now_ms=NOW_S * 1_000, grace_ms=60_000)
    with pytest.raises(Unauthorized):
        verify_client_token(client_token(first), third, "2_x", NOW_S)
    verify_client_token(client_token(after(first)), third, "2_x", NOW_S)


@pytest.mark.parametrize("grace_ms", [-1, MAX_GRACE_MS + 1])
def test_a_grace_time_out_of_range_is_refused(grace_ms):
    with pytest.raises(BadRequest):
        after(project(), grace_ms=grace_ms)


def test_each_of_several_public_keys_verifies_until_it_is_retired():
    first, second = pem(), pem()
    owner = with_key(with_key(project(), first), second)
    assert [key_id(key) for key in owner.public_keys()] == [key_id(first), key_id(second)]
    assert with_key(owner, second) == owner
    owner = without_key(owner, key_id(first))
    assert [key_id(key) for key in owner.public_keys()] == [key_id(second)]
    assert without_key(owner, key_id(second)).public_keys() == ()
    with pytest.raises(NotFound):
        without_key(owner, key_id(first))


def test_the_number_of_public_keys_is_bounded():
    owner, keys = project(), [pem() for _ in range(MAX_PUBLIC_KEYS + 1)]
    for key in keys[:-1]:
        owner = with_key(owner, key)
    with pytest.raises(BadRequest):
        with_key(owner, keys[-1])


def test_encrypted_by_default_needs_the_add_on():
    with pytest.raises(BadRequest):
        changed(project(), ProjectChange(e2ee_by_default=True))
    both = changed(project(), ProjectChange(e2ee_enabled=True, e2ee_by_default=True))
    assert both.e2ee_by_default
    with pytest.raises(BadRequest):
        changed(both, ProjectChange(e2ee_enabled=False))


@pytest.mark.parametrize(
    "origin",
    ["https://a.example/", "a.example", "ftp://a.example", "https://A.example", "null", "*", ""],
)
def test_what_is_no_origin_is_refused(origin):
    with pytest.raises(BadRequest):
        changed(project(), ProjectChange(allowed_origins=[origin]))


def test_a_page_may_join_from_a_named_origin_only_and_who_is_no_page_always():
    origins = ["https://a.example", "http://localhost:8080", "https://[::1]:8443"]
    owner = changed(project(), ProjectChange(allowed_origins=origins))
    assert all(owner.allows_origin(one) for one in [*origins, None])
    assert not any(map(owner.allows_origin, ["https://b.example", "https://a.example:444", "null"]))
    everybody = changed(owner, ProjectChange(allowed_origins=[]))
    assert everybody.allows_origin("https://b.example")


def test_a_limit_is_set_kept_and_taken_away():
    owner = changed(project(), ProjectChange(max_sessions=3, max_publish_bps=500_000))
    owner = changed(owner, ProjectChange(max_connections=2))
    assert (owner.quotas.sessions, owner.quotas.connections) == (3, 2)
    assert changed(owner, ProjectChange(max_sessions=0)).quotas.sessions is None
    with pytest.raises(BadRequest):
        changed(owner, ProjectChange(max_sessions=-1))
