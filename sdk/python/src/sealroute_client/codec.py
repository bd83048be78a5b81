"""Messages as MessagePack."""

import msgpack  # type: ignore[import-untyped]

from sealroute_client.bounds import is_bounded

Message = dict[str, object]


def encode(message: Message) -> bytes:
    """Absent and None members are the same on the wire."""
    packed: bytes = msgpack.packb(
        {key: value for key, value in message.items() if value is not None}, use_bin_type=True
    )
    return packed


def decode(data: bytes) -> Message:
    """Errors: ValueError for anything that is not a message."""
    if not is_bounded(data):
        raise ValueError("not msgpack")
    try:
        message = msgpack.unpackb(data, raw=False, strict_map_key=True)
    except (
        msgpack.UnpackException,
        ValueError,
        TypeError,
        OverflowError,
        RecursionError,
    ) as error:
        raise ValueError("not msgpack") from error
    if not isinstance(message, dict) or not isinstance(message.get("t"), str):
        raise ValueError("not a message")  # noqa: TRY004 - one error for all bad bytes
    return message
