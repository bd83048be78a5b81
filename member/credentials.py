"""The credentials of a member service: the project's key and secret, and what is signed with them.

A credential names one project and, to join, one session: with it the service can do nothing in
another project, whatever the server asks for.
"""

import base64
import secrets
from dataclasses import dataclass, field

import jwt

CONNECTION_DATA = "recorder"
"""What everybody in the session sees of the connection."""
ROLE = "publisher"
"""The least that may send signals: the service says that it records, and publishes nothing."""
_REST_S, _JOIN_S = 180, 300


@dataclass(frozen=True, slots=True)
class ProjectKey:
    api_key: str
    api_secret: str = field(repr=False)

    def rest_token(self, now_s: int) -> str:
        claims = {"iss": self.api_key, "ist": "project", "iat": now_s, "exp": now_s + _REST_S}
        return jwt.encode(claims, self.api_secret, algorithm="HS256")

    def client_token(self, session: str, now_s: int) -> str:
        claims = {
            "iss": self.api_key,
            "ist": "project",
            "iat": now_s,
            "exp": now_s + _JOIN_S,
            "nonce": secrets.randbits(53),
            "role": ROLE,
            "scope": "session.connect",
            "session_id": session,
            "connection_data": CONNECTION_DATA,
        }
        return jwt.encode(claims, self.api_secret, algorithm="HS256")

    def owns(self, session: str) -> bool:
        """Whether the id of a session names this project, as the official SDKs read it."""
        try:
            text = base64.b64decode(
                session[2:] + "=" * (-(len(session) - 2) % 4), altchars=b"-_", validate=True
            ).decode()
        except ValueError:
            return False
        fields = text.split("~")
        return len(fields) >= 5 and fields[1] == self.api_key
