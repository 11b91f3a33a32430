from __future__ import annotations

from itertools import count

import pytest

from towline.registry.copy.transfer import Attempts
from towline.retry import ATTEMPTS

MIB = 1024 * 1024


def tried(attempts: Attempts, *reached: int) -> list[bool]:
    return [attempts.may_retry(position) for position in reached]


def test_what_never_gets_further_is_tried_a_few_times() -> None:
    assert tried(Attempts(), *[0] * ATTEMPTS) == [True] * (ATTEMPTS - 1) + [False]


def test_getting_further_makes_good_for_what_failed() -> None:
    attempts = Attempts()
    assert tried(attempts, 0, 0, 0, 0, 10, 10, 10, 10, 10) == [True] * 9
    assert not attempts.may_retry(10)


def test_to_fall_back_and_to_come_as_far_as_before_is_not_to_get_further() -> None:
    assert tried(Attempts(), 100, 0, 50, 100, 99, 100) == [True] * 5 + [False]


def test_what_was_taught_is_no_failure() -> None:
    attempts = Attempts()
    assert [attempts.may_retry(0, taught=number % 5 < 4) for number in range(15)] == [True] * 15
    assert attempts.failed == 1


@pytest.mark.parametrize("step", [1, 1000, 600_000, MIB])
def test_a_large_blob_may_be_cut_often_if_each_try_gets_further(step: int) -> None:
    attempts = Attempts()
    assert all(attempts.may_retry(reached) for reached in range(step, 1000 * step, step))


def test_a_lesson_each_time_comes_to_an_end() -> None:
    attempts = Attempts()
    assert next(number for number in count(1) if not attempts.may_retry(0, taught=True)) == 21


def test_lessons_on_the_way_do_not_end_what_gets_further() -> None:
    attempts = Attempts()
    assert all(attempts.may_retry(reached, taught=True) for reached in range(1, 1000))


def test_a_rest_that_the_host_asks_for_is_no_attempt() -> None:
    attempts = Attempts()
    assert all(attempts.may_retry(0, rested=True, taught=number % 2 == 0) for number in range(100))
    assert (attempts.failed, attempts.may_retry(5, rested=True), attempts.may_retry(5)) == (
        0,
        True,
        True,
    )
