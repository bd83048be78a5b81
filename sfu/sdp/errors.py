"""The one error of this floor."""


class SdpError(ValueError):
    """A description that is refused. `code` is one of `sfu.media_plane.MediaError`'s.

    The message never repeats the description: it may reach a log.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def invalid(message: str) -> SdpError:
    return SdpError("sdp_invalid", message)
