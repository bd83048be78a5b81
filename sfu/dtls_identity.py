"""The DTLS identity of a plane, made for its first transport.

OpenSSL with what wraps it takes 10 MB, and a server without clients needs none of it.
"""

from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sfu.dtls import DtlsAssociation, DtlsIdentity


class LateIdentity:
    """Shared by all transports of a plane."""

    @cached_property
    def made(self) -> "DtlsIdentity":
        from sfu.dtls import DtlsIdentity  # noqa: PLC0415 - see above

        return DtlsIdentity()

    def association(self, *, as_client: bool = False) -> "DtlsAssociation":
        """A new one of this identity."""
        from sfu.dtls import DtlsAssociation  # noqa: PLC0415 - see above

        return DtlsAssociation(self.made, as_client=as_client)
