"""The entry point of `sealroute-member`."""

import importlib.util
import sys

NEEDED = "sealroute_client"


def main(argv: list[str] | None = None) -> int:
    """Exit codes: 0 stopped, 1 refused or failed, 2 wrong usage."""
    if importlib.util.find_spec(NEEDED) is None:
        sys.stderr.write("sealroute-member: the Python SDK is missing; install sealroute-client\n")
        return 1
    from member import command_line  # noqa: PLC0415 - it imports the SDK

    return command_line.main(argv)


if __name__ == "__main__":
    sys.exit(main())
