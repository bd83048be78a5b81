"""The release that runs."""

from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version

UNKNOWN = "0"


def version() -> str:
    """The version of the installed package; `0` in a tree that is not installed."""
    try:
        return installed_version("sealroute")
    except PackageNotFoundError:
        return UNKNOWN
