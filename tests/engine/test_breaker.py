"""A breaker leaves a store alone that failed often, and finds out by one call when it is well again."""

from __future__ import annotations

import threading

from hypothesis import given
from hypothesis import strategies as st

from migration_ops.rollout.breaker import Breaker, Limits

LIMITS = Limits(failures=3, window=10, pause=5)


def opened(at: float = 0) -> Breaker:
    breaker = Breaker(LIMITS)
    for _ in range(LIMITS.failures):
        assert breaker.allows(at)
        breaker.failed(at)
    return breaker


def test_it_opens_with_the_last_of_so_many_failures_within_the_window() -> None:
    breaker = Breaker(LIMITS)
    for now in (0, 4, 10):
        assert breaker.allows(now)
        breaker.failed(now)
    assert not breaker.allows(10)


def test_failures_that_are_further_apart_do_not_add_up() -> None:
    breaker = Breaker(LIMITS)
    for now in (0, 4, 10.1, 14.1, 20.2):
        breaker.failed(now)
        assert breaker.allows(now)


def test_successes_between_them_do_not_hide_failures() -> None:
    breaker = Breaker(LIMITS)
    for now in range(LIMITS.failures):
        breaker.failed(now)
        breaker.succeeded()
    assert not breaker.allows(LIMITS.failures)


def test_after_the_pause_one_caller_may_try_and_no_other() -> None:
    breaker = opened()
    assert not breaker.allows(4.9)
    assert breaker.allows(5)
    assert not breaker.allows(5)
    assert not breaker.allows(9.9)


def test_a_try_that_succeeds_closes_it_and_forgets_the_failures() -> None:
    breaker = opened()
    assert breaker.allows(5)
    breaker.succeeded()
    breaker.failed(5)
    assert breaker.allows(5)


def test_a_try_that_fails_begins_another_pause() -> None:
    breaker = opened()
    assert breaker.allows(5)
    breaker.failed(7)
    assert not breaker.allows(11.9)
    assert breaker.allows(12)


def test_a_try_that_never_came_back_does_not_keep_it_open_for_ever() -> None:
    breaker = opened()
    assert breaker.allows(5)
    assert breaker.allows(10)


def test_a_call_that_began_before_it_opened_does_not_close_it() -> None:
    breaker = opened()
    breaker.succeeded()
    assert not breaker.allows(1)


@given(st.lists(st.floats(0, 3), max_size=60))
def test_a_store_that_never_answers_is_called_at_most_so_often(waits: list[float]) -> None:
    """Within any window: the failures that open it, and one try a pause."""
    breaker, now, calls = Breaker(LIMITS), 0.0, []
    for wait in waits:
        now += wait
        if breaker.allows(now):
            calls.append(now)
            breaker.failed(now)
    for begin in calls:
        within = [at for at in calls if begin <= at < begin + LIMITS.pause]
        assert len(within) <= LIMITS.failures + 1


def test_of_many_threads_one_may_try() -> None:
    breaker, told, gate = opened(), [], threading.Barrier(8)

    def ask() -> None:
        gate.wait()
        told.append(breaker.allows(5))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(told) == [False] * 7 + [True]
