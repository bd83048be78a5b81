"""The OpenAPI document says what the route table says."""

import json

import pytest
from aiohttp.test_utils import TestClient, TestServer

from config.settings import HttpSettings
from signaling import administration
from signaling.domain.errors import ERRORS
from signaling.domain.projects import new_project
from signaling.rest.admin_api import ADMIN_PATH, AdminApi
from signaling.rest.openapi import openapi_document
from signaling.rest.routes import ROUTES
from signaling.rest.served_document import AdminCredentials, AdminProject, served_document
from signaling.rest.whip import WhipGate
from tests.rest_server import open_rest_server

DOCUMENT = openapi_document(ROUTES)
SERVED = served_document()


def operations_of(document):
    return {
        (method.upper(), template): operation
        for template, methods in document["paths"].items()
        for method, operation in methods.items()
        if method != "servers"
    }


OPERATIONS = operations_of(DOCUMENT)


async def test_the_document_is_served_to_anybody(tmp_path):
    server = await open_rest_server(tmp_path)
    async with (
        TestClient(TestServer(server.app)) as client,
        client.get("/openapi.json") as answer,
    ):
        assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")
        assert await answer.json() == json.loads(json.dumps(SERVED))
    await server.store.close()


def test_every_route_is_an_operation_and_nothing_else_is():
    assert set(OPERATIONS) == {(route.method, route.template) for route in ROUTES}


def test_operations_have_names_of_their_own():
    names = [operation["operationId"] for operation in operations_of(SERVED).values()]
    assert all(names)
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.template}")
def test_an_operation_reports_its_summary_its_parameters_and_its_answers(route):
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
    text = json.dumps(SERVED)
    for part in text.split('"$ref": "')[1:]:
        name = part[: part.index('"')].rpartition("/")[2]
        assert name in SERVED["components"]["schemas"]


async def test_the_served_document_has_all_of_the_rest_admin_and_media_routes(tmp_path):
    server = await open_rest_server(tmp_path)
    gate = WhipGate(None, None, HttpSettings(), server.metrics)
    admin = AdminApi(server.store, None, server.metrics, HttpSettings())
    named = {(one.method, one.path) for one in admin.routes() if one.method != "*"}
    documented = set(operations_of(SERVED)) - set(OPERATIONS)
    assert {one for one in documented if one[1].startswith(ADMIN_PATH)} == named
    media = {path for _, path in documented if not path.startswith(ADMIN_PATH)}
    assert media == {one.path for one in gate.routes()}
    await server.store.close()


def test_the_admin_api_answers_what_its_document_says():
    project = new_project(random_bytes=bytes(44), now_ms=1, e2ee_enabled=True)
    shown = administration.described(project, 1)
    assert set(shown) == set(AdminProject.__struct_encode_fields__)
    made = {**shown, **administration.credentials(project)}
    assert set(made) == set(AdminCredentials.__struct_encode_fields__)
