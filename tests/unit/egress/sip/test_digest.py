"""Digest authentication, by the examples of its standards."""

import pytest

from sfu.egress.sip.digest import Challenge, Login, authorization, challenge_of
from sfu.egress.sip.messages import Headers

MUFASA = Login("Mufasa", "Circle of Life")
RFC_7616 = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_the_example_of_rfc_7616(algorithm, response):
    challenge = Challenge("http-auth@example.org", RFC_7616, algorithm, has_qop=True)
    cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
    made = authorization(MUFASA, challenge, "GET", "/dir/index.html", 1, cnonce)
    assert f'response="{response}"' in made
    assert "qop=auth, nc=00000001" in made


def test_a_server_without_qop_gets_the_old_form():
    made = authorization(MUFASA, Challenge("r", "n", opaque='o"'), "INVITE", "sip:a@b", 1, "c")
    assert "qop" not in made
    assert 'opaque="o\\""' in made


@pytest.mark.parametrize(
    ("line", "algorithm"),
    [
        ('Digest realm="a, b", nonce="n", qop="auth,auth-int"', "MD5"),
        ("digest realm=r,nonce=n,algorithm=sha-256", "SHA-256"),
        ('Digest realm="r", nonce="n", algorithm=SHA-512-256', None),
        ('Digest realm="r", nonce="n", qop="auth-int"', None),
        ('Digest realm="r"', None),
        ("Basic realm=r", None),
        ("", None),
    ],
)
def test_challenges(line, algorithm):
    found = challenge_of(Headers([("WWW-Authenticate", line)]), "www-authenticate")
    assert (found and found.algorithm) == algorithm


def test_the_first_challenge_that_can_be_answered_counts():  # RFC 8760 section 2.4
    lines = ["SHA-512-256", "SHA-256", "MD5"]
    headers = Headers(
        [("WWW-Authenticate", f'Digest realm="r", nonce="n", algorithm={one}') for one in lines]
    )
    found = challenge_of(headers, "www-authenticate")
    assert found is not None
    assert found.algorithm == "SHA-256"


def test_a_password_is_in_no_text():
    assert "Circle" not in repr(MUFASA)
