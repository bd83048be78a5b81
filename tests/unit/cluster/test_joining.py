"""Where other nodes are told to come to."""

from dataclasses import replace

import pytest

from config.cluster_settings import ClusterSettings
from config.secret import Secret
from config.settings import Settings, StorageSettings
from signaling.clock import SystemClock
from signaling.cluster.base import Figures
from signaling.cluster.engine import NodeRow, NodeState
from signaling.joining import database_host, figures_of, joining_of, own_address, url_of
from signaling.metrics import Metrics

ON = Settings(
    cluster=ClusterSettings(name="one", link_host="127.0.0.3", link_port=7),
    storage=StorageSettings(url=Secret("postgresql://somebody:secret@db.example/calls")),
)


def test_a_server_without_a_name_is_alone():
    assert joining_of(Settings(), SystemClock()) is None
    assert joining_of(replace(ON, cluster=ClusterSettings()), SystemClock()) is None


def test_the_settings_say_where_a_node_listens_and_nothing_secret_is_shown():
    joining = joining_of(ON, SystemClock())
    assert (joining.name, joining.host, joining.port, joining.url) == ("one", "127.0.0.3", 7, "")
    assert joining.database_host == "db.example"
    assert "secret" not in repr(joining)


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("postgresql://a:b@10.0.0.9:5433/n", "10.0.0.9"),
        ("postgresql://a@/n?host=/var/run/postgresql", ""),
        ("postgresql:///n", ""),
    ],
)
def test_the_network_of_the_nodes_is_that_of_the_database(url, host):
    assert database_host(replace(ON, storage=StorageSettings(url=Secret(url)))) == host


def test_an_address_that_a_node_listens_on_alone_is_where_it_is_found():
    assert own_address("127.0.0.3", "") == "127.0.0.3"
    assert own_address("one.example", "") == "one.example"


def test_a_node_that_listens_everywhere_is_found_at_one_address(monkeypatch):
    monkeypatch.setattr("signaling.joining.public_addresses", lambda *_: ("192.0.2.7", "127.0.0.1"))
    assert own_address("0.0.0.0", "") == "192.0.2.7"
    assert own_address("0.0.0.0", "127.0.0.1") == "192.0.2.7", "not at that of the machine itself"


def test_an_address_of_ipv6_is_bracketed():
    assert url_of("fd00::7", 7443) == "https://[fd00::7]:7443"
    assert url_of("one.example", 7443) == "https://one.example:7443"


class Node:
    """Of a cluster, what is read of it."""

    def figures(self):
        return Figures(homes=3, silent_s=0.5, beats=7, faults={"call": 2})

    def nodes(self):
        states = (NodeState.READY, NodeState.READY, NodeState.DRAINING)
        return tuple(NodeRow(str(number), state=state) for number, state in enumerate(states))


def test_the_metrics_show_what_a_node_knows_when_they_are_read():
    metrics = Metrics(dict)
    before = metrics.render().decode()
    metrics.show(lambda: figures_of(Node()))
    shown = metrics.render().decode()
    assert "sealroute_cluster" not in before
    for line in (
        'sealroute_cluster_nodes{state="ready"} 2.0',
        'sealroute_cluster_nodes{state="draining"} 1.0',
        "sealroute_cluster_homes 3.0",
        "sealroute_cluster_engine_silent_seconds 0.5",
        "sealroute_cluster_beats_total 7.0",
        'sealroute_cluster_faults_total{where="call"} 2.0',
    ):
        assert f"\n{line}\n" in shown
