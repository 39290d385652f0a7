"""The histograms and counters, from the totals that are kept for ever.

The counts of a minute are thrown away when `metrics_retention` is over. Counters made of them would fall then, and
Prometheus takes a fall for a restart and counts what is left once more. The totals never fall.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily

from migration_ops.exposition.look import Look
from migration_ops.observe import histogram
from migration_ops.observe.measures import ShadowOutcome, What
from migration_ops.observe.totals import Ever

EVERY = histogram.BUCKETS_A_DOUBLING
"""Of so many buckets one is made: the gates tell 4 % apart, an alert does not have to, and every bucket is a series."""

_BOUNDS = (*(f"{bound:.10g}" for bound in histogram.BOUNDS[::EVERY]), "+Inf")

TIMED = {
    What.WRITE: (
        "migration_ops_write_duration_seconds",
        "Writes of units, by the store they went to first; the outcome says what became of the second write.",
    ),
    What.SECOND_WRITE: (
        "migration_ops_second_write_duration_seconds",
        "Second writes that could only be made after the commit of the first one.",
    ),
    What.CARRIED_FIRST: (
        "migration_ops_carried_first_duration_seconds",
        "Waiting changes of this store that could not be carried over before a write of the same document.",
    ),
    What.READ: (
        "migration_ops_read_duration_seconds",
        "Reads of units, by the store that was asked first and why that one.",
    ),
    What.SHADOW_READ: (
        "migration_ops_shadow_read_duration_seconds",
        "Reads that were made again in this store and compared.",
    ),
    What.PAIRED_READ: (
        "migration_ops_paired_read_duration_seconds",
        "The two reads of each comparison, by store: the same documents in one snapshot, in random order.",
    ),
    What.CHANGE: (
        "migration_ops_change_lag_seconds",
        "How old changes past the app were when they had reached the other store.",
    ),
    What.HEARTBEAT: (
        "migration_ops_applier_call_lag_seconds",
        "How long the applier's calls to itself took to be heard.",
    ),
}
"""The family of each thing that is counted, with its help."""

FAILURES = "migration_ops_failures"
IGNORED = "migration_ops_shadow_reads_ignored"


def families(looks: Sequence[Look]) -> Iterable[Metric]:
    """Every histogram and counter, with samples of all these migrations."""
    for what, (name, documentation) in TIMED.items():
        family = HistogramMetricFamily(name, documentation, labels=["migration", "store", "outcome", "cohort"])
        for look in looks:
            for labels, same in _by_labels(each for each in look.counted if each.name == what).items():
                counts = histogram.cumulative(histogram.merged([each.histogram for each in same]), every=EVERY)
                buckets = list(zip(_BOUNDS, counts, strict=True))
                family.add_metric([look.migration.name, *labels], buckets, sum(each.seconds for each in same))
        yield family
    yield _failures(looks)
    yield _ignored(looks)


def _by_labels(counted: Iterable[Ever]) -> dict[tuple[str, str, str], list[Ever]]:
    found: dict[tuple[str, str, str], list[Ever]] = defaultdict(list)
    for each in counted:
        found[each.side, each.outcome, each.cohort].append(each)
    return found


def _failures(looks: Sequence[Look]) -> Metric:
    family = CounterMetricFamily(
        FAILURES,
        "Whatever is counted above and failed, by SQLSTATE, or by the name of an error that has none.",
        labels=["migration", "operation", "store", "outcome", "sqlstate"],
    )
    for look in looks:
        found: dict[tuple[str, str, str, str], int] = defaultdict(int)
        for each in look.counted:
            if each.name in TIMED and each.sqlstate and each.outcome != ShadowOutcome.IGNORED:
                found[each.name, each.side, each.outcome, each.sqlstate] += each.count
        for labels, count in found.items():
            family.add_metric([look.migration.name, *labels], count)
    return family


def _ignored(looks: Sequence[Look]) -> Metric:
    family = CounterMetricFamily(
        IGNORED,
        "Shadow reads of which a named rule left everything out, so that nothing was compared.",
        labels=["migration", "rule"],
    )
    for look in looks:
        found: dict[str, int] = defaultdict(int)
        for each in look.counted:
            if each.name == What.SHADOW_READ and each.outcome == ShadowOutcome.IGNORED:
                found[each.sqlstate] += each.count
        for rule, count in found.items():
            family.add_metric([look.migration.name, rule], count)
    return family
