"""The OpenAPI document says what the route table says."""

import json

import pytest
from aiohttp.test_utils import TestClient, TestServer

from signaling.domain.errors import ERRORS
from signaling.rest.openapi import openapi_document
from signaling.rest.routes import ROUTES
from tests.rest_server import open_rest_server

DOCUMENT = openapi_document(ROUTES)
OPERATIONS = {
    (method.upper(), template): operation
    for template, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
}


async def test_the_document_is_served_to_anybody(tmp_path):
    server = await open_rest_server(tmp_path)
    async with (
        TestClient(TestServer(server.app)) as client,
        client.get("/openapi.json") as answer,
    ):
        assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")
        assert await answer.json() == json.loads(json.dumps(DOCUMENT))
    await server.store.close()


def test_every_route_is_an_operation_and_nothing_else_is():
    assert set(OPERATIONS) == {(route.method, route.template) for route in ROUTES}


def test_operations_have_names_of_their_own():
    names = [operation["operationId"] for operation in OPERATIONS.values()]
    assert all(names)
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.template}")
def test_an_operation_tells_its_summary_its_parameters_and_its_answers(route):
    operation = OPERATIONS[route.method, route.template]
    assert operation["summary"] == route.summary != ""
    named = [one["name"] for one in operation["parameters"] if one["in"] == "path"]
    assert named == [part[1:-1] for part in route.template.split("/") if part.startswith("{")]
    assert all(one["description"] for one in operation["parameters"] if one["in"] == "path")
    answers = operation["responses"]
    assert set(answers) == {
        str(route.success),
        "403",
        "default",
        *(str(ERRORS[code].http_status) for code in route.errors),
    }
    assert ("content" in answers[str(route.success)]) is (route.answer is not None)
    assert (route.body is None) or operation["requestBody"]


def test_every_reference_leads_somewhere():
    text = json.dumps(DOCUMENT)
    for part in text.split('"$ref": "')[1:]:
        name = part[: part.index('"')].rpartition("/")[2]
        assert name in DOCUMENT["components"]["schemas"]
