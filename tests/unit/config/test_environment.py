"""What a container engine puts into the environment, and secrets that lie in files."""

import pytest

from config.load import ConfigurationError, load_settings
from config.settings import Settings


def injected(service: str, kind: str = "tcp", port: int = 8080) -> dict[str, str]:
    """What Kubernetes gives every pod for a Service of that name (its documentation, "Environment
    variables")."""
    name, address = service.upper().replace("-", "_"), "10.96.12.7"
    link = f"{name}_PORT_{port}_{kind.upper()}"
    return {
        f"{name}_SERVICE_HOST": address,
        f"{name}_SERVICE_PORT": str(port),
        f"{name}_SERVICE_PORT_WEB": str(port),
        f"{name}_PORT": f"{kind}://{address}:{port}",
        link: f"{kind}://{address}:{port}",
        f"{link}_PROTO": kind,
        f"{link}_PORT": str(port),
        f"{link}_ADDR": address,
    }


@pytest.mark.parametrize(
    "environment",
    [
        injected("sealroute"),
        injected("sealroute-media", "udp", 10_000),
        injected("sealroute-http"),
        injected("sealroute-blue-2", "sctp"),
        injected("sealroute") | injected("sealroute-media", "udp") | injected("postgres"),
        injected("sealroute") | {"SEALROUTE_SERVICE_HOST": "fd00::7"},
        injected("sealroute") | {"SEALROUTE_PORT": "tcp://[fd00::7]:8080"},
    ],
)
def test_a_kubernetes_service_that_is_called_like_us_is_not_a_setting(environment):
    assert load_settings(None, environment) == Settings()


def test_a_setting_wins_over_the_service_of_the_same_name():
    settings = load_settings(None, injected("sealroute") | {"SEALROUTE_PORT": "9000"})
    assert settings.http.port == 9_000


@pytest.mark.parametrize(
    ("environment", "hint"),
    [
        ({"SEALROUTE_SERVICE_PORT": "8080"}, "unknown environment variable SEALROUTE_SERVICE_PORT"),
        ({"SEALROUTE_SERVICE_HOST": "10.0.0.1"}, "unknown environment variable"),
        ({"SEALROUTE_PORT": "tcp://10.0.0.1:8080"}, "SEALROUTE_PORT must be a number"),
        (injected("sealroute") | {"SEALROUTE_SERVICE_HOST": "me"}, "SEALROUTE_"),
        (injected("sealroute") | {"SEALROUTE_PROT": "1"}, "did you mean SEALROUTE_PORT"),
        (injected("sealroute") | {"SEALROUTE_MEDIA_PORT": "x"}, "MEDIA_PORT must be a number"),
        (injected("sealroute") | {"SEALROUTE_PORT_8080": "x"}, "unknown environment variable"),
    ],
)
def test_a_mistyped_setting_stays_an_error_beside_a_service(environment, hint):
    with pytest.raises(ConfigurationError, match=hint):
        load_settings(None, environment)


@pytest.mark.parametrize(
    ("knob", "section", "name"),
    [
        ("SEALROUTE_ICE_TURN_SECRET", "ice", "turn_secret"),
        ("SEALROUTE_STORAGE_URL", "storage", "url"),
        ("SEALROUTE_STORAGE_SEALING_KEY", "storage", "sealing_key"),
    ],
)
def test_every_secret_can_lie_in_a_file(tmp_path, knob, section, name):
    file = tmp_path / "secret"
    file.write_text("hunter2\n")
    settings = load_settings(None, {f"{knob}_FILE": str(file)})
    assert getattr(getattr(settings, section), name).reveal() == "hunter2"


def test_an_empty_secret_beside_its_file_is_none(tmp_path):
    (tmp_path / "secret").write_text("hunter2")
    file = {"SEALROUTE_ICE_TURN_SECRET_FILE": str(tmp_path / "secret")}
    empty = {"SEALROUTE_ICE_TURN_SECRET": ""}
    for environment in (file | empty, empty | file):
        assert load_settings(None, environment).ice.turn_secret.reveal() == "hunter2"


def test_the_short_and_the_long_name_of_a_setting_may_both_be_there():
    environment = {"SEALROUTE_PORT": "1", "SEALROUTE_HTTP_PORT": "1"}
    assert load_settings(None, environment).http.port == 1


def test_a_secret_in_a_file_can_be_named_in_the_settings_file(tmp_path):
    (tmp_path / "secret").write_text("hunter2")
    file = tmp_path / "a.toml"
    file.write_text(f"[ice]\nturn_secret_file = '{tmp_path / 'secret'}'\n")
    assert load_settings(file).ice.turn_secret.reveal() == "hunter2"


@pytest.mark.parametrize(
    ("content", "environment", "hint"),
    [
        (None, {}, "cannot read .*secret"),
        (b"", {}, "is empty"),
        (b"\n", {}, "is empty"),
        (b"\xff\xfe", {}, "is not text"),
        (b"two\nlines\n", {}, "one line"),
        (b"x" * 100_000, {}, "too long"),
        (b"hunter2", {"SEALROUTE_ICE_TURN_SECRET": "hunter3"}, "not both"),
    ],
)
def test_a_bad_secret_file_is_reported_without_its_content(tmp_path, content, environment, hint):
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)
    environment = environment | {"SEALROUTE_ICE_TURN_SECRET_FILE": str(file)}
    with pytest.raises(ConfigurationError, match=hint) as refused:
        load_settings(None, environment)
    assert "hunter" not in str(refused.value)


def test_what_is_no_secret_has_no_file():
    with pytest.raises(ConfigurationError, match="unknown environment variable"):
        load_settings(None, {"SEALROUTE_PORT_FILE": "/nowhere"})
