"""G.711, both laws (ITU-T), as tables; pure."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sfu.egress.audio.resample import Samples

Law = Literal["PCMU", "PCMA"]
_U_BIAS = 0x84


def _u_law() -> NDArray[np.int32]:
    codes = ~np.arange(256, dtype=np.uint8)
    exponent, mantissa = (codes >> 4 & 7).astype(np.int32), (codes & 15).astype(np.int32)
    size = ((mantissa << 3) + _U_BIAS << exponent) - _U_BIAS
    return np.where(codes & 0x80, -size, size)


def _a_law() -> NDArray[np.int32]:
    codes = np.arange(256, dtype=np.uint8) ^ 0x55
    exponent, mantissa = (codes >> 4 & 7).astype(np.int32), (codes & 15).astype(np.int32)
    size = np.where(
        exponent == 0, (mantissa << 4) + 8, (mantissa << 4) + 0x108 << np.maximum(exponent - 1, 0)
    )
    return np.where(codes & 0x80, size, -size)


_VALUES: dict[Law, NDArray[np.int32]] = {"PCMU": _u_law(), "PCMA": _a_law()}


def _nearest(values: NDArray[np.int32]) -> NDArray[np.uint8]:
    """The code for each of the 65,536 samples."""
    order = np.lexsort((-np.arange(256), values))  # of two zeros that of silence
    ordered = values[order]
    samples = np.arange(-32_768, 32_768)
    right = np.clip(np.searchsorted(ordered, samples), 1, 255)
    is_left = samples - ordered[right - 1] <= ordered[right] - samples
    return order[np.where(is_left, right - 1, right)].astype(np.uint8)


_CODES = {law: _nearest(values) for law, values in _VALUES.items()}


def encode(law: Law, block: Samples) -> bytes:
    """Samples from -1 to 1, each as a byte."""
    whole = np.round(np.clip(block, -1.0, 1.0) * 32_767).astype(np.int32)
    return _CODES[law][whole + 32_768].tobytes()


def decode(law: Law, data: bytes) -> Samples:
    values = _VALUES[law][np.frombuffer(data, np.uint8)]
    samples: Samples = values.astype(np.float32) / np.float32(32_768)
    return samples
