"""What commands ask the running server, by its REST API and in the name of a project."""

import argparse
import json
import time
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request

from config.load import ConfigurationError
from config.settings import HttpSettings
from signaling.cli.health import local_url
from signaling.cli.straight import NOT_AN_ANSWER, open_straight
from signaling.domain.errors import ErrorCode, NotFound, Unavailable
from signaling.domain.projects import Project
from signaling.domain.rest_credentials import new_rest_token

TIMEOUT_S = 10
MAX_ANSWER_BYTES = 8_388_608
Document = dict[str, Any]


def server_url(arguments: argparse.Namespace, http: HttpSettings) -> str:
    """The server's address: `--url`, otherwise where a server with these settings listens.

    Errors: `ConfigurationError`.
    """
    url = str(arguments.url or local_url(http)).rstrip("/")
    if not url.startswith(("http://", "https://")):
        raise ConfigurationError("--url must begin with http:// or https://")
    return url


def project_url(url: str, project: Project) -> str:
    return f"{url}/v2/project/{project.api_key}"


def ask(project: Project, url: str) -> Document:
    """The answer to a request. `url` begins as `server_url` gives it.

    Errors: `stream_not_found` for 404, `internal` for another refusal and if nothing answers.
    """
    token = new_rest_token(project, int(time.time()))
    request = Request(url, headers={"X-OPENTOK-AUTH": token})  # noqa: S310 - see `server_url`
    try:
        with open_straight(request, TIMEOUT_S) as answer:
            document: Document = json.loads(answer.read(MAX_ANSWER_BYTES))
            return document
    except HTTPError as failure:
        with failure:
            if failure.code == 404:
                raise NotFound(ErrorCode.STREAM_NOT_FOUND) from failure
            raise Unavailable(
                ErrorCode.INTERNAL, f"The server answered with status {failure.code}."
            ) from failure
    except (URLError, OSError, *NOT_AN_ANSWER) as failure:
        raise Unavailable(
            ErrorCode.INTERNAL, "No server answers there; set its address with --url."
        ) from failure
