"""The geometry of small charts."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migration_ops.observe.charts import HEIGHT, WIDTH, bars, ceiling, line

values = st.lists(st.floats(0, 1e9, allow_nan=False), min_size=1, max_size=60)


@pytest.mark.parametrize(
    ("most", "top"), [(0, 1), (1, 1), (1.2, 1.5), (7, 8), (10, 10), (2_201, 2_500), (0.0031, 0.004), (99, 100)]
)
def test_the_top_is_the_next_round_number(most: float, top: float) -> None:
    assert ceiling([most, most / 3]) == pytest.approx(top)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("most", [5e-324, 1e-310, sys.float_info.min])
def test_the_smallest_numbers_there_are_have_a_top_as_well(most: float) -> None:
    assert ceiling([most]) >= most


@given(values)
def test_the_top_is_never_below_a_value_nor_far_above_the_largest(found: list[float]) -> None:
    top = ceiling(found)
    assert top >= max(found) * (1 - 1e-9)
    if max(found) > 1e-300:
        assert top <= max(found) * 1.6


@given(values)
def test_every_bar_stays_within_the_picture_and_is_as_high_as_its_value(found: list[float]) -> None:
    top = ceiling(found)
    drawn = bars(found, top=top)
    assert len(drawn) == sum(1 for value in found if value)
    for bar, value in zip(drawn, [value for value in found if value], strict=True):
        assert 0 <= bar.x <= bar.x + bar.width <= WIDTH + 0.02
        assert bar.y + bar.height == pytest.approx(HEIGHT, abs=0.02)
        assert bar.height == pytest.approx(HEIGHT * value / top, abs=0.01)


def test_bars_stand_on_those_below() -> None:
    (upper,) = bars([1], top=4, below=[2])
    assert (upper.y, upper.height) == (HEIGHT / 4, HEIGHT / 4)


def test_a_line_is_interrupted_where_nothing_was_measured_and_a_single_value_is_a_dot() -> None:
    assert line([1, 1, None, 2], top=2) == "M60.0 48.0L180.0 48.0M420.0 0.0h0.01"
    assert line([None, None], top=1) == ""
