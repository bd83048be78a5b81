"""When a page is at fault: it hangs, or goes to another one all the time."""

import pytest

from sfu.egress.render.page_watch import NAVIGATIONS, NAVIGATIONS_S, PageWatch

HUNG = "The page did not answer for 20 s."
NAVIGATES = "The page goes to another page again and again."


def test_a_page_that_answers_is_shown():
    watch = PageWatch(20)
    for now_s in range(100):
        watch.answered(now_s)
        assert watch.fault(now_s + 19) == ""
    assert watch.fault(119) == HUNG


def test_a_page_that_loads_has_not_answered_yet():
    watch = PageWatch(20)
    assert watch.fault(100) == ""
    watch.answered(100)
    assert watch.fault(119.9) == ""
    assert watch.fault(120) == HUNG


@pytest.mark.parametrize(
    ("count", "within_s", "fault"),
    [
        (NAVIGATIONS, NAVIGATIONS_S, NAVIGATES),
        (NAVIGATIONS - 1, 0, ""),
        (NAVIGATIONS, NAVIGATIONS_S + 1, ""),
        (1_000, 900, ""),
        (1_000, 100, NAVIGATES),
    ],
)
def test_a_page_that_goes_on_too_often(count, within_s, fault):
    watch = PageWatch(20)
    for number in range(count):
        now_s = within_s * number / (count - 1)
        watch.navigated(now_s)
        watch.answered(now_s)
    assert watch.fault(within_s) == fault
