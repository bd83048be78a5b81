"""The HLS server's process, which strangers reach: what it is given."""

from signaling.broadcasts.hls_process import without_settings


def test_the_settings_of_the_server_stay_its_own():
    given = {
        "PATH": "/bin",
        "SEALROUTE_STORAGE_URL": "postgresql://user:secret@there/name",
        "SEALROUTE_STORAGE_SEALING_KEY": "key",
        "SEALROUTE_ICE_TURN_SECRET": "secret",
    }
    assert without_settings(given) == {"PATH": "/bin"}
