"""The error of the SDP layer."""


class SdpError(ValueError):
    """A refused description. `code` is one of `sfu.media_plane.MediaError`'s.

    The message never quotes the description: it may reach a log.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def invalid(message: str) -> SdpError:
    return SdpError("sdp_invalid", message)
