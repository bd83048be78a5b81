"""How commands ask a server by HTTP: where they were told to, and nowhere else.

A redirect would carry the credentials of a request to whomever the answer names.
"""

from contextlib import AbstractContextManager
from http.client import HTTPResponse
from typing import cast
from urllib.request import HTTPRedirectHandler, Request, build_opener

NOT_AN_ANSWER = (ValueError, RecursionError)
"""What reading JSON raises that a server made up."""


class NoRedirects(HTTPRedirectHandler):
    """A redirect is an `HTTPError` like any other status that is not 2xx."""

    def redirect_request(self, *_: object, **__: object) -> None:
        return None


def open_straight(request: Request, timeout_s: float) -> AbstractContextManager[HTTPResponse]:
    """The caller has checked that the URL is one of HTTP. Errors: `HTTPError`, `OSError`."""
    answer = build_opener(NoRedirects).open(request, timeout=timeout_s)
    return cast("AbstractContextManager[HTTPResponse]", answer)
