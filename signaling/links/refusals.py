"""Why something of another node is refused: the metric's label, and the code that ends a link."""

from enum import StrEnum
from typing import Final


class LinkRefusal(StrEnum):
    """`CERTIFICATE`: that of no living row. `INCARNATION`: not the one of the certificate's row.
    `VERSION`: no version in common. `MESSAGE`: none that this end may send. `EPOCH`: not that of
    the session's home, which drops what was asked. `CLIENT`: no such client on this link.
    `FORWARDED`: a forwarded request whose session lives elsewhere. `FULL`: the other end does not
    read. `SILENT`: nothing was heard."""

    CERTIFICATE = "certificate"
    INCARNATION = "incarnation"
    VERSION = "version"
    MESSAGE = "message"
    EPOCH = "epoch"
    CLIENT = "client"
    FORWARDED = "forwarded"
    FULL = "full"
    SILENT = "silent"


CLOSE_CODES: Final = {
    LinkRefusal.CERTIFICATE: 4401,
    LinkRefusal.INCARNATION: 4409,
    LinkRefusal.VERSION: 4426,
    LinkRefusal.MESSAGE: 4400,
    LinkRefusal.FULL: 4429,
    LinkRefusal.SILENT: 4408,
}
"""Of those that end a link; the others end one request."""
