"""Laws of the throttle and of the search for a refused row."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migration_ops.backfill.batch_size import FLOOR, GROWTH, BatchSize
from migration_ops.backfill.bisection import Bisection

speeds = st.floats(min_value=0.5, max_value=200_000)
sizes = st.integers(min_value=1, max_value=1_000)


def throttle(start: int = 100, target: float = 0.2) -> BatchSize:
    return BatchSize.adaptive(start=start, minimum=1, maximum=1_000, target=target)


@given(speed=speeds, start=sizes, target=st.floats(min_value=0.01, max_value=2))
def test_the_size_comes_to_the_target_for_any_constant_speed(speed: float, start: int, target: float) -> None:
    size = throttle(start, target)
    for _ in range(60):
        size = size.after(rows=size.size, seconds=size.size / speed)
    ideal = min(max(speed * target, FLOOR), 1_000)
    assert ideal - 2 <= size.size <= ideal + 1e-6 * ideal


@given(
    start=sizes,
    events=st.lists(
        st.one_of(
            st.sampled_from(["halve", "short", "long", "calm"]),
            st.tuples(st.integers(0, 5_000), st.floats(min_value=0, max_value=1e6)),
        ),
        max_size=80,
    ),
)
def test_the_size_never_leaves_its_bounds_and_never_jumps_up(start: int, events: list[object]) -> None:
    size = throttle(start)
    for event in events:
        before = size.size
        if isinstance(event, tuple):
            size = size.after(rows=event[0], seconds=event[1])
        else:
            size = {
                "halve": size.halved(size.size),
                "short": size.aimed(0.03),
                "long": size.aimed(0.2),
                "calm": size.smallest(),
            }[str(event)]
        assert 1 <= size.size <= 1_000
        assert size.size <= max(before + 1, before * GROWTH)


@given(overhead=st.floats(0.05, 5), row=st.floats(0.0001, 0.01), start=sizes)
def test_a_slow_server_does_not_draw_batches_down_to_one_row(overhead: float, row: float, start: int) -> None:
    size = throttle(start)
    for _ in range(60):
        size = size.after(rows=size.size, seconds=overhead + row * size.size)
    assert size.size >= FLOOR


def test_where_a_transaction_alone_takes_longer_than_a_batch_should_the_backfill_still_gets_on() -> None:
    size = throttle(500)
    for _ in range(60):
        seconds = 0.35 + 0.0015 * size.size
        speed = size.size / seconds
        size = size.after(rows=size.size, seconds=seconds)
    assert speed > 150


def test_one_slow_batch_makes_the_next_one_small_at_once() -> None:
    size = throttle(1_000)
    for _ in range(10):
        size = size.after(rows=1_000, seconds=0.2)
    assert size.after(rows=1_000, seconds=2.0).size == 100


def test_batches_take_little_longer_than_they_should_though_the_speed_goes_up_and_down() -> None:
    size = throttle()
    for speed in (4_000, 2_000) * 20:
        took = size.size / speed
        size = size.after(rows=size.size, seconds=took)
        assert took <= 0.2 * 1.31


def test_a_timeout_halves_what_was_tried_and_not_what_could_have_been() -> None:
    assert replace(throttle(), size=800).halved(800).size == 400
    assert replace(throttle(), size=800).halved(50).size == 25
    assert throttle(1).halved(1).size == 1


def test_a_batch_that_should_be_shorter_from_now_on_is_so_at_once_and_a_longer_one_comes_step_by_step() -> None:
    size = throttle()
    for _ in range(20):
        size = size.after(rows=size.size, seconds=size.size / 5_000)
    assert size.size == 1_000
    short = size.aimed(0.03)
    assert short.size == 150
    long = short.aimed(0.2)
    assert long.size == 150
    assert long.after(rows=150, seconds=0.03).size == 150 * GROWTH


def test_a_new_aim_says_nothing_about_a_speed_that_nobody_knows_and_nothing_to_a_fixed_size() -> None:
    assert throttle(100).aimed(0.03).size == 100
    assert BatchSize.fixed(70).aimed(0.03) == BatchSize.fixed(70)


def test_a_fixed_size_stays_whatever_the_speed() -> None:
    size = BatchSize.fixed(70)
    for seconds in (0.0001, 100.0):
        size = size.after(rows=70, seconds=seconds)
        assert size.size == 70


def test_a_fixed_size_recovers_after_a_timeout() -> None:
    size = BatchSize.fixed(64).halved(64)
    assert size.size == 32
    for _ in range(3):
        size = size.after(rows=size.size, seconds=0.1)
    assert size.size == 64


def test_an_empty_batch_teaches_nothing() -> None:
    assert throttle().after(rows=0, seconds=5.0) == throttle()


@pytest.mark.parametrize(("size", "minimum", "maximum"), [(0, 1, 10), (11, 1, 10), (1, 2, 10), (0, 0, 10)])
def test_nonsense_is_refused(size: int, minimum: int, maximum: int) -> None:
    with pytest.raises(ValueError, match="not within"):
        BatchSize(size=size, minimum=minimum, maximum=maximum, target=0.2)


def test_a_target_of_no_time_is_refused() -> None:
    with pytest.raises(ValueError, match="seconds"):
        throttle(target=0.0)


def search(total: int, poison: set[int], size: int) -> tuple[set[int], int]:
    """Work through rows 0 … total−1 of which some are refused: what was set aside, and how many batches it took."""
    bisection, position, aside, batches = Bisection(), 0, set(), 0
    while position < total:
        rows = min(bisection.limit(size), total - position)
        batches += 1
        assert batches < 50 * total + 50
        refused = poison & set(range(position, position + rows))
        if not refused:
            bisection, position = bisection.passed(rows, size=size), position + rows
        elif rows > 1:
            bisection = bisection.refused(rows)
        else:
            aside.add(position)
            bisection, position = bisection.set_aside(), position + 1
    return aside, batches


@given(total=st.integers(1, 300), size=st.integers(1, 200), data=st.data())
def test_the_search_sets_exactly_the_refused_rows_aside(total: int, size: int, data: st.DataObject) -> None:
    poison = data.draw(st.sets(st.integers(0, total - 1)))
    assert search(total, poison, size)[0] == poison


@given(poison=st.integers(0, 999))
def test_one_refused_row_of_a_thousand_costs_some_thirty_batches(poison: int) -> None:
    assert search(1_000, {poison}, 1_000)[1] <= 32


def test_many_refused_rows_in_a_row_do_not_cost_a_search_each() -> None:
    assert search(200, set(range(200)), 200)[1] <= 200 + 10


def test_batches_grow_again_after_a_refused_row() -> None:
    bisection, limits = Bisection().set_aside(), []
    for _ in range(6):
        rows = bisection.limit(20)
        limits.append(rows)
        bisection = bisection.passed(rows, size=20)
    assert limits == [1, 2, 4, 8, 16, 20]
