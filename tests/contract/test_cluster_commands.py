"""`sealroute cluster status` and the doctor's row, on a PostgreSQL with nodes in it."""

import json
import socket
from dataclasses import replace

import pytest

from config.cluster_settings import ClusterSettings
from config.load import ConfigurationError
from config.secret import Secret
from config.settings import Settings, StorageSettings
from signaling.cli import cluster_commands
from signaling.cli.cluster_commands import lines_of, survey, warnings_of
from signaling.cli.command_line import main
from signaling.cli.doctor_cluster import cluster_finding, judged
from signaling.cluster.engine import Beat, NodeRow, NodeState, Surveyed
from signaling.cluster.engine_postgres import open_engine
from signaling.storage.choosing import open_store
from tests import postgres

KEY = "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s="


@pytest.fixture
def settings(postgres_server, tmp_path):
    storage = StorageSettings(
        data_dir=str(tmp_path),
        url=Secret(postgres.fresh_database(postgres_server)),
        sealing_key=Secret(KEY),
    )
    return Settings(storage=storage, cluster=ClusterSettings(name="one"))


async def filled(settings):
    """Two nodes with a home each, and a third one that has left."""
    await (await open_store(settings.storage)).close()
    engine = await open_engine(settings.storage.url)
    lives = {}
    for name in ("one", "two", "three"):
        row = NodeRow(name, region="here", release="1.2", link_url="https://127.0.0.1:9")
        lives[name] = await engine.join(row)
    await engine.claim("s", "p", None, lives["one"])
    await engine.claim("t", "p", None, lives["two"])
    await engine.beat(Beat(lives["one"], hears=frozenset({lives["three"]})))
    await engine.leave(lives["three"])
    await engine.close()
    return lives


async def test_operators_see_nodes_with_their_sessions_and_the_age_of_their_beats(settings):
    lives = await filled(settings)
    found = await survey(settings)
    assert [(one.row.name, one.homes, one.is_living) for one in found] == [
        ("one", 1, True),
        ("three", 0, False),
        ("two", 1, True),
    ]
    assert found[0].row.incarnation == lives["one"]
    assert all(0 <= one.age_s < 60 for one in found)
    text = "\n".join(lines_of(found, found))
    assert "links with" in text
    assert "three" in text.splitlines()[1], "whose link it hears"


def test_the_command_leaves_out_lives_that_ended(settings, monkeypatch, capsys):
    import asyncio

    asyncio.run(filled(settings))
    for name in ("url", "sealing_key"):
        value = getattr(settings.storage, name).reveal()
        monkeypatch.setenv(f"SEALROUTE_STORAGE_{name}".upper(), value)
    assert main(["cluster", "status", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert [one["name"] for one in shown["nodes"]] == ["one", "two"]
    assert shown["nodes"][0]["hears"] == ["three"]
    assert main(["cluster", "status", "--all"]) == 0
    assert "left" in capsys.readouterr().out


def test_without_a_shared_database_there_is_no_cluster(tmp_path, capsys):
    assert main(["cluster", "status", "--data-dir", str(tmp_path)]) == 1
    assert "share one PostgreSQL" in capsys.readouterr().err


def one(name, state=NodeState.READY, homes=0, age_s=0.1, url="https://10.0.0.7:7443", release="1"):
    row = NodeRow(name, incarnation=7, state=state, link_url=url, release=release)
    return Surveyed(row, homes, age_s)


@pytest.mark.parametrize(
    ("found", "text"),
    [
        ([one("a"), one("a")], "2 nodes that live are named a"),
        ([one("a", age_s=cluster_commands.LATE_S + 1)], "has not beaten"),
        ([one("a", NodeState.DEAD, homes=3)], "3 sessions"),
        ([one("a", release="1"), one("b", release="2"), one("c", release="3")], "releases"),
    ],
)
def test_what_an_operator_should_look_at_is_said(found, text):
    assert text in "".join(warnings_of(found))


def test_nothing_is_said_of_nodes_that_are_well():
    assert list(warnings_of([one("a"), one("b"), one("c", NodeState.LEFT, age_s=600)])) == []


def test_the_doctor_knocks_at_the_other_nodes():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        open_url = f"https://127.0.0.1:{listening.getsockname()[1]}"
        well = judged("a", [one("a", url=open_url), one("b", url=open_url)])
    assert (well.state, well.advice) == ("ok", "")
    assert "nodes that live: a, b" in well.detail
    gone = judged("a", [one("a", url=open_url), one("b", url=open_url)])
    assert (gone.state, "b is not reached" in gone.detail) == ("warning", True)


def test_the_doctor_finds_a_node_that_sends_the_others_to_themselves():
    found = judged("a", [one("a", url="https://127.0.0.1:1"), one("a2", url="https://192.0.2.1:1")])
    assert "which is each machine itself" in found.detail


def test_the_doctor_says_where_a_server_is_alone_and_where_its_database_is_away(settings, tmp_path):
    assert cluster_finding(Settings()).detail == "alone: [cluster] name is not set"
    nowhere = StorageSettings(url=Secret("postgresql://a@127.0.0.1:1/b"), data_dir=str(tmp_path))
    assert cluster_finding(replace(settings, storage=nowhere)).state == "error"


async def test_a_survey_without_a_shared_database_is_refused():
    with pytest.raises(ConfigurationError):
        await survey(Settings())
