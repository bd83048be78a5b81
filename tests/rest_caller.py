"""Calls the REST API as one project, in either dialect."""

import json
import time

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PUBLIC_PEM = (
    KEY.public_key()
    .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    .decode()
)


class Caller:
    """Calls a server as one project, in either dialect."""

    def __init__(self, server, client):
        self.server, self.client = server, client
        self.project = server.project

    def legacy(self, **changes):
        now_s = int(time.time())
        claims = {
            "iss": self.project.api_key,
            "ist": "project",
            "iat": now_s,
            "exp": now_s + 180,
            **changes,
        }
        claims = {name: value for name, value in claims.items() if value is not None}
        # Not `jwt.encode`: it would refuse some of the claims that attackers send.
        body = json.dumps(claims).encode()
        token = jwt.api_jws.encode(body, self.project.api_secret, algorithm="HS256")
        return {"X-OPENTOK-AUTH": token, "Accept": "application/json"}

    def unified(self, **changes):
        now_s = int(time.time())
        claims = {
            "application_id": self.project.application_id,
            "iat": now_s,
            "exp": now_s + 900,
            **changes,
        }
        return {"Authorization": "Bearer " + jwt.encode(claims, KEY, algorithm="RS256")}

    async def call(self, method, path, *, headers=None, **kwargs):
        """Status, JSON body (None when empty)."""
        headers = {**(headers or self.legacy()), **kwargs.pop("extra", {})}
        async with self.client.request(method, path, headers=headers, **kwargs) as answer:
            body = await answer.read()
            self.content_type = answer.headers.get("Content-Type")
            self.raw = body
            if body and "json" in (self.content_type or ""):
                return answer.status, json.loads(body)
            return answer.status, None

    async def create(self, **fields):
        status, body = await self.call("POST", "/session/create", data=fields)
        assert status == 200, body
        return body[0]["session_id"]

    def path(self, rest):
        return f"/v2/project/{self.project.api_key}{rest}"
