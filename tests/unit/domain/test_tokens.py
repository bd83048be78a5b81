"""Client tokens of all three kinds, and what attackers make of them."""

import base64
import hashlib
import hmac
import json
from dataclasses import replace
from urllib.parse import quote, urlencode

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st

from signaling.domain import jwt_claims
from signaling.domain.errors import DomainError, ErrorCode, Unauthorized
from signaling.domain.projects import Project, new_project
from signaling.domain.roles import CAPABILITIES, Role
from signaling.domain.session_ids import new_session_id
from signaling.domain.tokens import TokenClaims, new_client_token, verify_client_token

NOW_S = 1_800_000_000
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def public_pem(key: rsa.RSAPrivateKey) -> str:
    return (
        key.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )


PROJECT = new_project(random_bytes=bytes(range(44)), now_ms=0, public_key_pem=public_pem(KEY))
OTHER = new_project(
    random_bytes=bytes(range(100, 144)), now_ms=0, public_key_pem=public_pem(OTHER_KEY)
)
SESSION = new_session_id(PROJECT.api_key, "", 0, bytes(16))


def legacy_claims(**changes: object) -> dict[str, object]:
    claims: dict[str, object] = {
        "iss": PROJECT.api_key,
        "ist": "project",
        "iat": NOW_S,
        "exp": NOW_S + 86_400,
        "session_id": SESSION,
        "role": "publisher",
        "scope": "session.connect",
        "nonce": 0.5,
    }
    claims.update(changes)
    return {name: value for name, value in claims.items() if value is not None}


def legacy(secret: str = PROJECT.api_secret, **changes: object) -> str:
    return jwt.encode(legacy_claims(**changes), secret, algorithm="HS256")


def unified(key: rsa.RSAPrivateKey = KEY, **changes: object) -> str:
    claims: dict[str, object] = {
        "application_id": PROJECT.application_id,
        "iat": NOW_S,
        "exp": NOW_S + 900,
        "jti": "x",
        "session_id": SESSION,
        "scope": "session.connect",
        "role": "moderator",
        "subject": "video",
        "acl": {"paths": {"/session/**": {}}},
        "initial_layout_class_list": ["a", "b"],
    }
    claims.update(changes)
    claims = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(claims, key, algorithm="RS256")


def t1(payload: str | None = None, *, key: str = PROJECT.api_key, secret: str = PROJECT.api_secret):
    if payload is None:
        payload = urlencode(
            {
                "session_id": SESSION,
                "create_time": NOW_S,
                "expire_time": NOW_S + 3600,
                "role": "subscriber",
                "nonce": 1,
                "connection_data": "name=Bob&x=ü",
                "initial_layout_class_list": "a b",
            }
        )
    signature = hmac.new(secret.encode(), payload.encode(), hashlib.sha1).hexdigest()
    return (
        "T1==" + base64.b64encode(f"partner_id={key}&sig={signature}:{payload}".encode()).decode()
    )


def verify(token: str, now_s: float = NOW_S, project: Project = PROJECT) -> TokenClaims:
    return verify_client_token(token, project, SESSION, now_s)


def refusal_of(token: str, now_s: float = NOW_S, project: Project = PROJECT) -> ErrorCode:
    with pytest.raises(Unauthorized) as caught:
        verify(token, now_s, project)
    return caught.value.code


def test_a_legacy_token_admits_with_its_role_and_data():
    claims = verify(legacy(role="moderator", connection_data="Bob"))
    assert (claims.role, claims.connection_data) == (Role.MODERATOR, "Bob")


def test_a_token_without_a_role_is_a_publishers():
    assert verify(legacy(role=None)).role is Role.PUBLISHER


def test_a_unified_token_admits_and_its_class_list_may_be_an_array():
    claims = verify(unified())
    assert (claims.role, claims.layout_classes) == (Role.MODERATOR, ("a", "b"))


@pytest.mark.parametrize(("value", "classes"), [("a b", ("a", "b")), ("", ()), (None, ())])
def test_a_class_list_may_be_a_string_with_blanks_or_absent(value, classes):
    assert verify(unified(initial_layout_class_list=value)).layout_classes == classes


def test_a_t1_token_admits_with_its_role_data_and_classes():
    claims = verify(t1())
    assert claims.role is Role.SUBSCRIBER
    assert claims.connection_data == "name=Bob&x=ü"
    assert claims.layout_classes == ("a", "b")


def test_a_t1_token_is_checked_as_it_was_escaped():
    payload = f"session_id={SESSION}&connection_data={quote('a b')}&expire_time={NOW_S + 5}.25"
    claims = verify(t1(payload))
    assert claims.connection_data == "a b"
    assert claims.expires_s == NOW_S + 5.25


def test_a_t1_token_of_another_secret_or_key_is_refused():
    assert refusal_of(t1(secret="0" * 40)) is ErrorCode.AUTHENTICATION_FAILED
    assert refusal_of(t1(key="12345678")) is ErrorCode.AUTHENTICATION_FAILED


def test_a_t1_token_with_a_changed_payload_is_refused():
    decoded = base64.b64decode(t1()[4:]).replace(b"role=subscriber", b"role=moderator")
    assert refusal_of("T1==" + base64.b64encode(decoded).decode()) is (
        ErrorCode.AUTHENTICATION_FAILED
    )


def test_a_t1_token_with_a_field_twice_is_refused():
    payload = f"session_id={SESSION}&expire_time={NOW_S + 9}&role=subscriber&role=moderator"
    assert refusal_of(t1(payload)) is ErrorCode.AUTHENTICATION_FAILED


def test_a_t1_payload_cannot_smuggle_jwt_time_claims():
    payload = f"session_id={SESSION}&exp={NOW_S + 9}"
    assert refusal_of(t1(payload)) is ErrorCode.AUTHENTICATION_FAILED


@pytest.mark.parametrize("token", [legacy(exp=NOW_S), legacy(exp=NOW_S - 1), unified(exp=NOW_S)])
def test_an_expired_token_gets_that_reason(token):
    assert refusal_of(token) is ErrorCode.TOKEN_EXPIRED


def test_a_token_is_good_until_the_second_it_expires():
    assert verify(legacy(), NOW_S + 86_399).role is Role.PUBLISHER
    assert refusal_of(legacy(), NOW_S + 86_400) is ErrorCode.TOKEN_EXPIRED


def test_a_token_may_live_for_thirty_days_and_no_longer():
    month_s = 30 * 86_400
    assert verify(legacy(exp=NOW_S + month_s))
    assert refusal_of(legacy(exp=NOW_S + month_s + 60)) is ErrorCode.AUTHENTICATION_FAILED


@pytest.mark.parametrize("claim", ["iat", "nbf"])
def test_a_token_from_the_future_is_called_that(claim):
    assert refusal_of(legacy(**{claim: NOW_S + 120})) is ErrorCode.TOKEN_FROM_FUTURE
    assert refusal_of(legacy(**{claim: NOW_S + 120, "iss": OTHER.api_key})) is (
        ErrorCode.AUTHENTICATION_FAILED
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": None},
        {"exp": "soon"},
        {"exp": True},
        {"exp": 10**400},
        {"exp": 2**53},
        {"exp": float(2**53)},
        {"iat": 10**400},
        {"iat": -(10**400)},
        {"nbf": -(2**53)},
        {"session_id": new_session_id(PROJECT.api_key, "", 0, bytes(15) + b"x")},
        {"session_id": None},
        {"scope": "session.create"},
        {"role": "admin"},
        {"role": ["moderator"]},
        {"iss": OTHER.api_key},
        {"ist": "account"},
        {"connection_data": "x" * 1025},
        {"connection_data": {"a": 1}},
        {"connection_data": "half a pair: \ud800"},
        {"initial_layout_class_list": ["\udfff"]},
        {"initial_layout_class_list": "a \udfff"},
        {"initial_layout_class_list": 5},
        {"initial_layout_class_list": ["a"] * 65},
        {"initial_layout_class_list": [1]},
        {"acl": {"paths": {"/other": {}}}},
        {"acl": "all"},
    ],
)
def test_a_token_with_a_bad_claim_is_refused(changes):
    assert refusal_of(legacy(**changes)) is ErrorCode.AUTHENTICATION_FAILED


def test_an_infinite_expiry_is_refused():
    body = json.dumps(legacy_claims()).replace(str(NOW_S + 86_400), "Infinity")
    token = jwt.api_jws.encode(body.encode(), PROJECT.api_secret, algorithm="HS256")
    assert refusal_of(token) is ErrorCode.AUTHENTICATION_FAILED


def unsigned(header: dict[str, str], claims: dict[str, object], signature: bytes = b"") -> str:
    parts = [json.dumps(header).encode(), json.dumps(claims).encode(), signature]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def test_a_token_without_signature_is_refused_whatever_its_header_says():
    for algorithm in ("none", "None", "NONE", "HS256", "RS256", ""):
        for claims in (legacy_claims(), legacy_claims(application_id=PROJECT.application_id)):
            token = unsigned({"alg": algorithm, "typ": "JWT"}, claims)
            assert refusal_of(token) is ErrorCode.AUTHENTICATION_FAILED


def test_a_token_signed_with_the_public_key_as_hmac_secret_is_refused():
    """The algorithm-confusion attack (RFC 8725 section 2.1)."""
    for claims in (legacy_claims(), legacy_claims(application_id=PROJECT.application_id)):
        head = unsigned({"alg": "HS256", "typ": "JWT"}, claims).rpartition(".")[0]
        mac = hmac.new(PROJECT.public_key_pem.encode(), head.encode(), hashlib.sha256).digest()
        token = head + "." + base64.urlsafe_b64encode(mac).rstrip(b"=").decode()
        assert refusal_of(token) is ErrorCode.AUTHENTICATION_FAILED


@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
def test_another_hmac_than_the_agreed_one_is_refused(algorithm):
    token = jwt.encode(legacy_claims(), PROJECT.api_secret * 2, algorithm=algorithm)
    assert refusal_of(token) is ErrorCode.AUTHENTICATION_FAILED


def test_a_key_in_the_header_is_not_believed():
    token = jwt.encode(
        legacy_claims(application_id=PROJECT.application_id),
        OTHER_KEY,
        algorithm="RS256",
        headers={"jku": "https://evil.example/keys", "kid": "../../dev/null"},
    )
    assert refusal_of(token) is ErrorCode.AUTHENTICATION_FAILED


def with_header(header: bytes, claims: bytes | None = None) -> str:
    """A legacy token whose signature is right for these bytes."""
    body = json.dumps(legacy_claims()).encode() if claims is None else claims
    signed_part = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in (header, body))
    signature = hmac.digest(PROJECT.api_secret.encode(), signed_part, "sha256")
    return b".".join([signed_part, base64.urlsafe_b64encode(signature).rstrip(b"=")]).decode()


def test_a_header_may_say_more_than_the_algorithm():
    assert verify(with_header(b'{"kid":"a","alg":"HS256","typ":"JWT","x":[1]}'))


@pytest.mark.parametrize(
    "header",
    [
        b'{"alg":"HS256","crit":["exp"]}',
        b'{"alg":"HS256","crit":[]}',
        b'{"alg":"HS256","b64":false,"crit":["b64"]}',
        b'{"alg":"HS256","b64":false}',
        b'{"alg":"HS256","kid":7}',
        b'{"alg":["HS256"]}',
        b'{"alg":"hs256"}',
        b'{"typ":"JWT"}',
        b'["HS256"]',
        b"HS256",
        b"",
    ],
)
def test_a_header_that_means_something_else_is_refused(header):
    assert refusal_of(with_header(header)) is ErrorCode.AUTHENTICATION_FAILED


@pytest.mark.parametrize("claims", [b"[]", b"7", b"null", b"{", b"\xff", b""])
def test_signed_bytes_that_are_no_claims_are_refused(claims):
    token = with_header(b'{"alg":"HS256"}', claims)
    assert refusal_of(token) is ErrorCode.AUTHENTICATION_FAILED


@given(st.integers(0, 2**31), st.sampled_from("=.-_+/ A\n\u0131"), st.sampled_from([0, 1]))
def test_own_reading_of_a_token_accepts_no_more_than_the_library(position, character, removed):
    token = legacy()
    position %= len(token) + 1
    changed = token[:position] + character + token[position + removed :]
    try:
        claims = jwt_claims.verified(changed, PROJECT, "secret", NOW_S)
    except Unauthorized:
        return
    options = {"verify_exp": False, "verify_iat": False}
    known = jwt.decode(changed, PROJECT.api_secret, algorithms=["HS256"], options=options)
    assert claims == known == legacy_claims()


def test_the_token_of_another_project_is_refused():
    assert refusal_of(legacy(OTHER.api_secret)) is ErrorCode.AUTHENTICATION_FAILED
    assert refusal_of(unified(OTHER_KEY)) is ErrorCode.AUTHENTICATION_FAILED
    assert refusal_of(legacy(), project=OTHER) is ErrorCode.AUTHENTICATION_FAILED


def test_an_rsa_token_needs_a_registered_key():
    project = replace(PROJECT, public_key_pem=None)
    assert refusal_of(unified(), project=project) is ErrorCode.AUTHENTICATION_FAILED


def test_a_token_too_long_to_be_one_is_refused_unread():
    assert refusal_of("a" * 8_193) is ErrorCode.AUTHENTICATION_FAILED


def test_a_deeply_nested_token_is_refused():
    bomb = "a." + base64.urlsafe_b64encode(b"[" * 6_000).decode() + ".a"
    assert refusal_of(bomb) is ErrorCode.AUTHENTICATION_FAILED


@given(st.text(max_size=400))
def test_any_text_is_refused_and_nothing_else_happens(text):
    with pytest.raises(DomainError):
        verify(text)


@given(st.binary(max_size=300))
def test_any_t1_payload_is_refused_and_nothing_else_happens(data):
    with pytest.raises(DomainError):
        verify("T1==" + base64.b64encode(data).decode())


@given(st.text(max_size=100))
def test_a_signed_t1_payload_without_a_session_is_refused(payload):
    with pytest.raises(DomainError):
        verify(t1(payload.encode("utf-8", "replace").decode()))


@given(
    st.dictionaries(
        st.sampled_from(["exp", "iat", "nbf", "role", "acl", "scope", "connection_data", "ist"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.text(max_size=5), inner, max_size=3)
            ),
            max_leaves=6,
        ),
    )
)
def test_any_claims_are_a_refusal_or_an_admission(changes):
    token = legacy(**changes)
    try:
        claims = verify(token)
    except DomainError:
        return
    assert claims.session_id == SESSION


@given(st.integers(0, 10_000), st.integers(0, 7))
def test_a_token_with_one_bit_changed_is_refused_or_says_the_same(position, bit):
    token = legacy()
    raw = bytearray(token.encode())
    raw[position % len(raw)] ^= 1 << bit
    try:
        changed = verify(raw.decode("latin-1"))
    except DomainError:
        return
    # The last character of base64 has bits that carry nothing.
    assert changed == verify(token)


def test_one_token_has_one_digest_however_it_is_spelled():
    made = new_client_token(
        PROJECT, TokenClaims(SESSION, Role.PUBLISHER, NOW_S + 60), NOW_S, nonce=1
    )
    head, _, payload = base64.b64decode(t1()[4:]).partition(b":")
    heads = (
        head,
        head + b"&x=1",
        head + b"&x=2",
        head.upper().replace(b"PARTNER_ID", b"partner_id").replace(b"SIG", b"sig"),
    )
    spelled = ["T1==" + base64.b64encode(one + b":" + payload).decode() for one in heads]
    signature = made.rindex(".") + 1
    jwts = [made, made[:signature] + "!" + made[signature:], made + "=", made[:-1] + "!" + made[-1]]
    for same in (spelled, jwts):
        digests = {admitted.digest for admitted in map(_admitted_if, same) if admitted is not None}
        assert len(digests) == 1
        assert digests != {b""}
    other = new_client_token(
        PROJECT, TokenClaims(SESSION, Role.PUBLISHER, NOW_S + 60), NOW_S, nonce=2
    )
    assert _admitted_if(other).digest != _admitted_if(made).digest


def _admitted_if(token):
    try:
        return verify_client_token(token, PROJECT, SESSION, NOW_S)
    except Unauthorized:
        return None


def test_a_token_made_here_is_accepted_here():
    wanted = TokenClaims(SESSION, Role.PUBLISHER_ONLY, NOW_S + 60, "data", ("focus",))
    assert verify(new_client_token(PROJECT, wanted, NOW_S, 7)) == wanted


def test_neither_the_claims_nor_the_project_show_secrets_when_printed():
    assert "Bob" not in repr(verify(legacy(connection_data="Bob")))
    assert PROJECT.api_secret not in repr(PROJECT)
    assert "BEGIN PUBLIC" not in repr(PROJECT)


@pytest.mark.parametrize(
    ("role", "allowed"),
    [
        (Role.SUBSCRIBER, {"subscribe"}),
        (Role.PUBLISHER, {"subscribe", "publish", "signal"}),
        (Role.PUBLISHER_ONLY, {"publish"}),
        (
            Role.MODERATOR,
            {
                "subscribe",
                "publish",
                "signal",
                "force_mute",
                "force_unpublish",
                "force_disconnect",
            },
        ),
    ],
)
def test_each_role_may_do_what_the_documentation_says(role, allowed):
    capabilities = CAPABILITIES[role]
    assert {name for name in capabilities.__slots__ if getattr(capabilities, name)} == allowed
