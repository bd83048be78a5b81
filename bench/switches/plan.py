"""What a run is to do."""

from dataclasses import dataclass

_LOSS = 0.02


@dataclass(frozen=True, slots=True)
class Plan:
    """`form` is a key of `library.FORMATS`; `loss` a probability on each side of the core."""

    name: str
    form: str
    switches: int
    seed: int = 1
    subscribers: int = 12
    encodings: int = 3
    loss: float = 0.0
    nack: bool = True
    rtx: bool = True
    silences: bool = True


def plans(switches: int, seed: int = 1) -> list[Plan]:
    """Every codec, and its layers, without loss, with loss that is repaired and that is not."""
    forms = ("vp8", "vp9", "h264", "av1", "vp8-t2", "vp8-t3", "vp9-t2", "vp9-t3")
    return [
        plan
        for form in forms
        for plan in (
            Plan(f"{form}", form, switches - 2 * (switches // 5), seed),
            Plan(f"{form}, loss, repaired", form, switches // 5, seed, loss=_LOSS),
            Plan(f"{form}, loss", form, switches // 5, seed, loss=_LOSS, nack=False, rtx=False),
        )
    ]
