from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.load import (
    KNOBS,
    SHORT_NAMES,
    ConfigurationError,
    load_settings,
    sample_toml,
)
from config.secret import Secret
from config.settings import Settings

SAMPLE = Path(__file__).parents[3] / "config" / "default.toml"


def test_the_sample_file_holds_the_defaults_and_is_current():
    assert load_settings(SAMPLE) == Settings()
    assert SAMPLE.read_text() == sample_toml()


def test_every_knob_says_what_it_trades_and_every_number_has_a_range():
    for (section, name), knob in KNOBS.items():
        assert knob.metadata["why"], (section, name)
        number = isinstance(knob.default, int | float) and not isinstance(knob.default, bool)
        assert (knob.metadata["low"] is not None) is number, (section, name)


def test_flags_win_over_the_environment_and_that_over_the_file(tmp_path):
    file = tmp_path / "a.toml"
    file.write_text("[http]\nport = 1\n[media]\nport = 1\n[signaling]\ngrace_ms = 1\n")
    environment = {"SEALROUTE_PORT": "2", "SEALROUTE_MEDIA_PORT": "2", "PATH": "/bin"}
    settings = load_settings(file, environment, {"port": 3, "host": None})
    assert (settings.http.port, settings.media.port, settings.signaling.grace_ms) == (3, 2, 1)


def test_development_alone_lets_visitors_open_rooms_unless_something_is_said(tmp_path):
    file = tmp_path / "a.toml"
    file.write_text("[rooms]\nenabled = false\n")
    development, off = {"development": True}, {"SEALROUTE_ROOMS_ENABLED": "false"}

    def enabled(*sources):
        return load_settings(*sources).rooms.enabled

    assert enabled() is False
    assert enabled(None, {"SEALROUTE_ROOMS_ENABLED": "true"}) is True
    assert enabled(None, {}, development) is True
    assert enabled(None, {"SEALROUTE_DEVELOPMENT": "true"}) is True
    assert enabled(None, off, development) is False
    assert enabled(file, {}, development) is False
    assert enabled(file, {"SEALROUTE_ROOMS_ENABLED": "true"}, development) is True


@pytest.mark.parametrize("name", list(SHORT_NAMES))
def test_every_short_name_works_in_the_environment(name):
    section, knob = SHORT_NAMES[name]
    odd = {"level": "debug", "format": "console", "development_project": "True"}
    value = odd.get(knob, "7")
    settings = load_settings(None, {f"SEALROUTE_{name.upper()}": value})
    assert str(getattr(getattr(settings, section), knob)) == value


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("[htp]\n", "did you mean http?"),
        ("[http]\nprot = 1\n", "did you mean port?"),
        ("[http]\nport = 70000\n", "from 0 to 65,535"),
        ("[http]\nport = '80 80'\n", "must be a number"),
        ("[http]\nport = true\n", "must be a number"),
        ("[http]\nport = 1.5\n", "must be a number"),
        ("[http]\nmax_body_bytes = 'maybe'\n", "must be a number"),
        ("[e2ee]\nenabled_for_new_projects = 'maybe'\n", "true or false"),
        ("[log]\nlevel = 'loud'\n", "one of debug"),
        ("http = 1\n", "unknown section"),
        ("[http\n", "not valid TOML"),
    ],
)
def test_a_file_with_a_mistake_is_refused_with_what_would_do(tmp_path, text, hint):
    file = tmp_path / "a.toml"
    file.write_text(text)
    with pytest.raises(ConfigurationError, match=hint.replace("?", r"\?")):
        load_settings(file)


def test_an_unknown_variable_is_refused_with_the_nearest_one():
    with pytest.raises(ConfigurationError, match="did you mean SEALROUTE_PORT"):
        load_settings(None, {"SEALROUTE_PROT": "1"})


def test_variables_of_the_clients_are_none_of_the_servers_business():
    assert load_settings(None, {"SEALROUTE_SECRET": "a secret"}) == Settings()


def test_a_missing_file_is_reported(tmp_path):
    with pytest.raises(ConfigurationError, match="cannot read"):
        load_settings(tmp_path / "none.toml")


@given(st.text(max_size=200))
def test_any_file_is_settings_or_a_configuration_error(text):
    file = Path("/dev/shm") / "sealroute-settings-test.toml"
    file.write_text(text, encoding="utf-8", errors="replace")
    try:
        assert isinstance(load_settings(file), Settings)
    except ConfigurationError:
        return
    finally:
        file.unlink()


def test_a_secret_can_be_used_but_not_printed():
    secret = Secret("hunter2")
    assert secret.reveal() == "hunter2"
    for text in (
        repr(secret),
        str(secret),
        f"{secret}",
        "".join(map(str, [secret])),
        repr([secret]),
    ):
        assert "hunter2" not in text


SHARED = {"SEALROUTE_STORAGE_URL": "postgresql://somebody@db/calls"}


def test_a_node_of_a_cluster_needs_a_database_that_others_reach():
    with pytest.raises(ConfigurationError, match=r"set \[storage\] url"):
        load_settings(None, {"SEALROUTE_CLUSTER_NAME": "one"})
    assert load_settings(None, {"SEALROUTE_CLUSTER_NAME": "one", **SHARED}).cluster.name == "one"
    assert load_settings(None, SHARED).cluster.name == ""


@pytest.mark.parametrize(
    ("knob", "value", "hint"),
    [
        ("name", "one two", "letters, digits"),
        ("name", "n" * 64, "letters, digits"),
        ("region", "r" * 64, "up to 63"),
        ("link_url", "http://10.0.0.7:7443", "https://10.0.0.7:7443"),
        ("link_url", "https://10.0.0.7", "with a port"),
        ("link_url", "https://10.0.0.7:7443/path", "without a path"),
    ],
)
def test_what_others_could_not_use_of_a_node_is_refused(knob, value, hint):
    environment = {
        "SEALROUTE_CLUSTER_NAME": "one",
        **SHARED,
        f"SEALROUTE_CLUSTER_{knob}".upper(): value,
    }
    with pytest.raises(ConfigurationError) as refused:
        load_settings(None, environment)
    assert hint in str(refused.value)


@pytest.mark.parametrize("url", ["https://10.0.0.7:7443", "https://[fd00::7]:7443", "https://a:1"])
def test_a_node_is_found_at_a_name_or_an_address(url):
    environment = {
        "SEALROUTE_CLUSTER_NAME": "one",
        "SEALROUTE_CLUSTER_LINK_URL": url,
        **SHARED,
    }
    assert load_settings(None, environment).cluster.link_url == url
