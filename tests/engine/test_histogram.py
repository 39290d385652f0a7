"""Latency histograms, and that those of an older version are neither lost nor read by the wrong bounds."""

from __future__ import annotations

from importlib import import_module

import pytest
from django.db import IntegrityError, transaction
from hypothesis import given
from hypothesis import strategies as st

from migration_ops.models import Metric
from migration_ops.models.metric import BUCKETS
from migration_ops.observe import histogram
from tests.engine.syncing import run

finer_histograms = import_module("migration_ops.migrations.0015_finer_histograms")

COARSE = tuple(0.0001 * 2 ** (step / 4) for step in range(81))
"""The bounds of the version before."""


@given(st.floats(0, 300))
def test_a_duration_is_counted_between_the_bounds_of_its_bucket(seconds: float) -> None:
    number = histogram.place(seconds)
    assert number == 0 or histogram.BOUNDS[number - 1] < seconds
    assert number == len(histogram.BOUNDS) or seconds <= histogram.BOUNDS[number]


@given(st.lists(st.floats(0.0001, 100), min_size=1, max_size=200), st.sampled_from([0.5, 0.95, 1.0]))
def test_a_quantile_is_known_to_within_a_bucket(durations: list[float], share: float) -> None:
    counts = histogram.empty()
    for seconds in durations:
        counts[histogram.place(seconds)] += 1
    exact = sorted(durations)[-int(-share * len(durations) // 1) - 1]
    found = histogram.quantile(counts, share)
    assert found is not None
    assert exact <= found * (1 + 1e-12)
    assert found <= exact * 1.0443 or found == histogram.BOUNDS[0]


@given(st.lists(st.floats(0, 300), max_size=60), st.sampled_from([1, 4, 16, 320]))
def test_coarser_buckets_say_how_many_took_at_most_so_long(durations: list[float], every: int) -> None:
    counts = histogram.empty()
    for seconds in durations:
        counts[histogram.place(seconds)] += 1
    exact = [sum(seconds <= bound for seconds in durations) for bound in histogram.BOUNDS[::every]]
    assert histogram.cumulative(counts, every=every) == [*exact, len(durations)]


def a_minute(counts: list[int]) -> Metric:
    return Metric.objects.create(
        migration="notes", minute="2026-01-01T00:00Z", name="write", count=sum(counts), seconds=1.0, histogram=counts
    )


@pytest.mark.django_db
def test_the_database_takes_as_many_buckets_as_there_are_and_no_other_number() -> None:
    assert BUCKETS == histogram.SIZE
    for wrong in (0, 82, histogram.SIZE - 1, histogram.SIZE + 1):
        with pytest.raises(IntegrityError, match="metric_histogram_buckets"), transaction.atomic():
            a_minute([1] * wrong)
    a_minute([1] * histogram.SIZE)


@pytest.mark.django_db
def test_what_an_older_version_counted_is_read_as_what_it_was() -> None:
    run("ALTER TABLE migration_ops_metric DROP CONSTRAINT metric_histogram_buckets")
    counts = [number + 1 for number in range(82)]
    minute = a_minute(counts)
    run(finer_histograms.FINER)
    minute.refresh_from_db()
    assert len(minute.histogram) == histogram.SIZE
    found = {number: count for number, count in enumerate(minute.histogram) if count}
    assert [histogram.BOUNDS[number] for number in found if number < 321] == pytest.approx(COARSE)
    assert list(found.values()) == counts
    run(finer_histograms.COARSER)
    minute.refresh_from_db()
    assert minute.histogram == counts


@pytest.mark.django_db
def test_going_back_to_coarser_buckets_puts_each_duration_where_it_belongs() -> None:
    run("ALTER TABLE migration_ops_metric DROP CONSTRAINT metric_histogram_buckets")
    fine, coarse = histogram.empty(), [0] * 82
    for seconds in (0.00005, 0.00011, 0.0013, 0.002, 0.0021, 0.7, 3.3, 99.0, 150.0):
        fine[histogram.place(seconds)] += 1
        coarse[sum(seconds > bound for bound in COARSE)] += 1
    minute = a_minute(fine)
    run(finer_histograms.COARSER)
    minute.refresh_from_db()
    assert minute.histogram == coarse
