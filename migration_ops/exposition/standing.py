"""The gauges: where each migration stands, who is served from where, what waits, and who is alive."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from migration_ops import dashboard
from migration_ops.definition import Side
from migration_ops.exposition.look import Look
from migration_ops.gates import Verdict
from migration_ops.rollout import routing
from migration_ops.stages import ORDER

Samples = Iterable[tuple[tuple[str, ...], float]]


@dataclass(frozen=True, slots=True)
class Gauge:
    """One family of gauges.

    Attributes:
        labels: names of the labels beside `migration`.
        samples: values of these labels, with what is measured there.
    """

    name: str
    help: str
    labels: tuple[str, ...]
    samples: Callable[[Look], Samples]


def families(looks: Sequence[Look]) -> Iterable[Metric]:
    """Every gauge, with samples of all these migrations."""
    for gauge in GAUGES:
        family = GaugeMetricFamily(gauge.name, gauge.help, labels=["migration", *gauge.labels])
        for look in looks:
            for labels, value in gauge.samples(look):
                family.add_metric([look.migration.name, *labels], value)
        yield family


def _one(value: float | None) -> Samples:
    return [] if value is None else [((), float(value))]


def _each_of(choices: Iterable[str], chosen: str | None, *before: str) -> Samples:
    """1 for the one that is, 0 for the others: a label that came and went would leave gaps in every graph."""
    return [((*before, choice), float(choice == chosen)) for choice in choices]


def _quarantined(look: Look) -> Samples:
    for status in ("open", "accepted"):
        by_code = dict.fromkeys(look.migration.rejection_codes, 0) | look.quarantine[f"{status}_by_code"]
        yield from (((status, code), rows) for code, rows in by_code.items())


GAUGES = (
    Gauge(
        "migration_ops_stage",
        "1 for the stage at which the migration is, 0 for the others.",
        ("stage",),
        lambda look: _each_of(ORDER, look.now.stage),
    ),
    Gauge(
        "migration_ops_ramp_ratio",
        "Share of the units that read modern by their bucket at the stage ramp, from 0 to 1.",
        (),
        lambda look: _one(float(look.now.percent) / 100),
    ),
    Gauge(
        "migration_ops_canary_ratio",
        "Share of the units that read modern as canaries at the stage ramp, from 0 to 1.",
        (),
        lambda look: _one(float(look.now.canary_percent) / 100),
    ),
    Gauge(
        "migration_ops_modern_ratio",
        "Share of the units that modern answers by stage, kill switch, percentage and canaries, from 0 to 1.",
        (),
        lambda look: _one(float(dashboard.modern_share(look.now)) / 100),
    ),
    Gauge(
        "migration_ops_canary_users",
        "Users that the flag names as canaries.",
        (),
        lambda look: _one(look.named[0]),
    ),
    Gauge(
        "migration_ops_canary_groups",
        "Groups that the flag names as canaries.",
        (),
        lambda look: _one(look.named[1]),
    ),
    Gauge(
        "migration_ops_held",
        "1 while the migration is on hold: nothing moves forward.",
        (),
        lambda look: _one(look.now.hold),
    ),
    Gauge(
        "migration_ops_killed",
        "1 while the kill switch is on: all reads go to legacy.",
        (),
        lambda look: _one(look.now.kill),
    ),
    Gauge(
        "migration_ops_pinned",
        "1 for the store to which DATA_BACKEND pins all reads of this process.",
        ("store",),
        lambda look: _each_of(Side, routing.pin()),
    ),
    Gauge(
        "migration_ops_dual_write_off",
        "1 while DUAL_WRITE keeps this process from writing to the second store.",
        (),
        lambda look: _one(not routing.follower_is_written()),
    ),
    Gauge(
        "migration_ops_step",
        "Grows by one whenever it changes who is served from where.",
        (),
        lambda look: _one(look.now.step),
    ),
    Gauge(
        "migration_ops_stepped_timestamp_seconds",
        "Since when the migration is at this step, in Unix time; absent while nothing ever happened.",
        (),
        lambda look: _one(look.now.stepped_at.timestamp() if look.now.stepped_at else None),
    ),
    Gauge(
        "migration_ops_gate_open",
        "1 for a gate that passed when the evaluator last looked, or that somebody vouches for; 0 for a closed one.",
        ("gate",),
        lambda look: [((gate.gate,), float(gate.is_open)) for gate in look.gates],
    ),
    Gauge(
        "migration_ops_gate_verdict",
        "1 for what the evaluator last said of the gate at this step, 0 for the other verdicts.",
        ("gate", "verdict"),
        lambda look: [sample for gate in look.gates for sample in _each_of(Verdict, gate.verdict, gate.gate)],
    ),
    Gauge(
        "migration_ops_gate_reading_age_seconds",
        "How long ago the evaluator looked at the gate.",
        ("gate",),
        lambda look: [((gate.gate,), gate.age) for gate in look.gates],
    ),
    Gauge(
        "migration_ops_process_heartbeat_age_seconds",
        "How long ago a process with this role last said that it works; absent where none ever did.",
        ("role",),
        lambda look: [((role.value,), age) for role, age in look.heartbeats.items()],
    ),
    Gauge(
        "migration_ops_dirty_keys",
        "Changes that wait to be carried over, by the store in which they were made.",
        ("store",),
        lambda look: [((side.value,), look.dirty["by_side"].get(side.value, 0)) for side in Side],
    ),
    Gauge(
        "migration_ops_dirty_keys_failing",
        "Those of them that could not be carried over at least once.",
        (),
        lambda look: _one(look.dirty["failing"]),
    ),
    Gauge(
        "migration_ops_dirty_key_oldest_age_seconds",
        "How long the oldest of them waits; 0 where none does.",
        (),
        lambda look: _one(look.dirty["oldest_seconds"]),
    ),
    Gauge(
        "migration_ops_quarantined_rows",
        "Legacy rows that cannot be represented: open ones wait for a person, accepted ones stay behind.",
        ("status", "code"),
        _quarantined,
    ),
)
"""Every gauge there is."""
