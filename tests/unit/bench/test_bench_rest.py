"""The figures of the REST measurement."""

import json

from bench.rest import Client, quantile, show


def test_a_quantile_is_a_value_that_was_measured():
    ordered = [float(number) for number in range(1, 101)]
    assert (quantile(ordered, 0.5), quantile(ordered, 0.99), quantile(ordered, 1.0)) == (
        51.0,
        100.0,
        100.0,
    )
    assert quantile([], 0.5) == 0.0


def test_figures_are_a_row_for_each_request():
    text = show({"create": {"p50_ms": 1.0}, "list": {"p50_ms": 2.5}})
    assert text.splitlines()[2:] == ["| create | 1.00 |", "| list | 2.50 |"]


def test_a_legacy_client_signs_every_request_again():
    job = {"dialect": "legacy", "api_key": "1", "api_secret": "s" * 40}
    client = Client(json.loads(json.dumps(job)))
    first, second = (client.headers()["X-OPENTOK-AUTH"] for _ in range(2))
    assert first != second
