"""`python -m tests.fuzz TARGET [libFuzzer's arguments]`: one Python target under Atheris."""

import sys

import atheris

with atheris.instrument_imports(include=["sfu", "signaling", "sealroute_client"]):
    from tests.fuzz.targets import TARGETS


def main() -> None:
    name = sys.argv.pop(1)
    atheris.Setup(sys.argv, TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
