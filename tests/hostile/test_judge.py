"""The judge of what was played: what is played twice is found, what is late is not."""

from tests.hostile import seeing
from tests.hostile.call import Call
from tests.hostile.content import (
    ADA,
    FRAMES_PER_STEP,
    STEP_HZ,
    STEPS,
    Seen,
    wrong_images,
    wrong_tones,
)
from tests.hostile.drivers.python import PythonClient, PythonDriver
from tests.hostile.lie import Lie
from tests.hostile.passed import Passed, first_sent, given_twice, sent_after
from tests.hostile.server import HostileServer

FRAME_S = 0.02
FIRST = ADA.base_hz // STEP_HZ


def tones(frames: list[int]) -> list[Seen]:
    """Numbers of frames, each heard 20 ms after the one before."""
    return [
        Seen(index * FRAME_S, FIRST + frame // FRAMES_PER_STEP % 32)
        for index, frame in enumerate(frames)
    ]


def images(numbers: list[int]) -> list[Seen]:
    return [Seen(index / 12, ADA.first + number) for index, number in enumerate(numbers)]


def test_what_goes_on_is_right() -> None:
    assert wrong_tones(tones(list(range(1_000))), ADA) == []
    assert wrong_images(images(list(range(1, 100))), ADA) == []


def frames(role: str, *ids: str) -> list[Passed]:
    return [Passed(float(at), role, "video", id_) for at, id_ in enumerate(ids)]


def test_a_frame_that_returns_is_the_decoder_s_unless_a_frame_was_given_to_it_twice() -> None:
    assert wrong_images(images([20, 21, 22, 23, 20, 24]), ADA) == []
    assert given_twice(frames("receive", "20", "21", "22")) == []
    assert given_twice(frames("send", "20", "20")) == []
    assert given_twice(frames("receive", "20", "21", "22", "20"))


def test_a_frame_that_was_encrypted_before_may_be_on_its_way_and_no_other() -> None:
    sent = frames("send", "0", "1", "2")
    assert sent_after(sent, ["0", "1"], 1.0) == []
    assert len(sent_after(sent, ["0", "1", "2"], 1.0)) == 1
    assert len(sent_after(sent, ["0", "past the tap"], 1.0)) == 1
    assert first_sent(sent, [["2"], ["1"]]) == 1.0


def test_a_frame_that_stays_on_the_screen_is_no_call_that_goes_on() -> None:
    call = Call(HostileServer(), PythonDriver(), Lie())
    looker = PythonClient("http://localhost", "", None, ADA)
    looker.played["s"] = [Seen(1.0, 1_001), Seen(2.0, 1_001), Seen(2.1, None), Seen(2.2, 1_002)]
    assert call.sees(looker, "s", 2)
    assert not call.sees(looker, "s", 2, since_s=1.5)
    assert not call.sees(looker, "s", 1, since_s=2.2)


def test_who_sees_nothing_of_a_call_is_found() -> None:
    some = {kind: {f"{kind} {n}" for n in range(seeing.PLENTY)} for kind in seeing.KINDS}
    nothing = {kind: set[str]() for kind in seeing.KINDS}
    assert seeing.unseen(some, some, some) == []
    for blind in range(3):
        sides = [nothing if index == blind else some for index in range(3)]
        assert len(seeing.unseen(*sides)) >= 2, "each kind"
    deaf = {**some, "audio": set[str]()}
    assert seeing.unseen(some, some, deaf) == ["the tap of the viewer saw too little audio"]
    assert seeing.past_the_tap(some, some) == seeing.past_the_tap(nothing, nothing) == []
    assert seeing.past_the_tap(some, deaf) == ["audio left that the tap did not see"]
    assert seeing.past_the_judge(deaf, {"audio": 0, "video": 3}) == []
    assert seeing.past_the_judge(deaf, {"audio": 1}) != []


def test_a_judge_sorts_frames_by_their_kind() -> None:
    ids = {(1, "s/audio"): ["a"], (2, "s/audio"): ["b"], (2, "s/video"): ["c"]}
    assert seeing.by_kind(ids) == {"audio": {"a", "b"}, "video": {"c"}}
    passed = [*frames("send", "1"), *frames("receive", "2")]
    assert seeing.noted(passed, "send") == {"audio": set(), "video": {"1"}}


def test_what_is_of_another_is_found() -> None:
    assert wrong_tones([Seen(0.0, 5), Seen(0.02, 5)], ADA)
    assert wrong_tones([Seen(0.0, 5), Seen(0.02, 9)], ADA) == []


def test_a_tone_a_step_beside_the_persons_own_counts_when_it_lasts() -> None:
    beside = [FIRST + STEPS] * FRAMES_PER_STEP
    assert wrong_tones([Seen(0.02 * n, tone) for n, tone in enumerate(beside)], ADA)
    assert wrong_tones([Seen(0.02 * n, tone) for n, tone in enumerate(beside[:3])], ADA) == []
    assert wrong_images([Seen(0.0, 9_999)], ADA)
