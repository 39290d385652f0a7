"""Settings of the engine: one dict, `MIGRATION_OPS`, every key optional.

    MIGRATION_OPS = {"FENCE_TIMEOUT": timedelta(seconds=5)}

`settings()` returns them typed, under the same names in lower case. `unknown_keys` and `bad_values` say what is wrong
with them; the system checks show it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import timedelta
from functools import lru_cache
from typing import Any

from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed

NAME = "MIGRATION_OPS"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Durations are `timedelta`, counts and sizes whole numbers, rates and ratios decimal ones, policies words.

    Attributes:
        fence_timeout: how long a transition tries to get past the writers before it names them and gives up.
        schema_lock_timeout: how long one attempt at a lock on a live table may make others wait behind it.
        schema_lock_patience: for how long such attempts are repeated.
        validation_max_age: a full validation older than this no longer opens a gate.
        batch_target: how long one batch of the backfill should take; users who write its rows wait for most of it.
        batch_start, batch_minimum, batch_maximum: rows in a batch.
        batch_lock_timeout: after waiting so long for a row or key a batch gives up and comes back later.
        batch_statement_timeout: a statement of a batch that takes longer is cancelled, and the batch halved.
        lease: how long a worker may be silent before another takes over.
        retries: how often a transient database error is tried again.
        retry_first_delay, retry_longest_delay: bounds of the exponential backoff.
        reconnect_patience: for how long a worker waits for a database that is gone.
        slice: for how long a worker of the queue works on a run in the background before it makes way for other jobs.
        scheduler_interval: how often the scheduler looks what is due and whether a run in the background is stranded.
        hold_poll: how often a backfill looks how the database is, and looks again while it holds back.
        hold_longest: a backfill that held back for so long goes on all the same, with the smallest batches.
        hold_replica_lag: hold back while a replica is further behind.
        hold_lock_waiters: hold back while so many sessions or more wait for locks on the migrated tables.
        hold_transaction_age: hold back while a transaction of somebody else is older.
        nice_batch_target: how long one batch should take while others are at work in the database.
        nice_ratio: meanwhile a worker rests after a batch for so many times as long as it took; with 0 it takes no
            notice of others.
        sync_batch: dirty notices that the applier takes at a time.
        sync_poll: how often the applier looks although nobody called.
        sync_heartbeat: how often the applier says that it is alive, and measures how soon it hears a call.
        sync_retry_first_delay, sync_retry_longest_delay: bounds of its backoff for one key.
        write_patience: how long a user's write waits for what others hold before it is given up.
        follower_patience: how long its second half, in the follower, may keep a user waiting.
        dual_write_verified_percent: share of the written documents that are loaded from both stores and compared.
        metrics_flush: how often what a process counted is written to the database.
        metrics_retention: what was counted longer ago is thrown away; so are read differences and readings of gates.
        ramp_plan: the percentages of the ramp, rising to 100, each with its soak: how long it has to be watched before
            the next one.
        read_patience: how long a statement of a read of modern may take at `ramp` and `live` before legacy answers
            instead.
        breaker_failures, breaker_window, breaker_pause: after so many failed modern reads within the window a process
            asks legacy at once, for as long as the pause.
        shadow_read_percent: share of the reads that are compared with the other store, at `shadow` and `ramp`.
        shadow_read_patience: how long the second read of a comparison may take.
        shadow_reads_at_once: comparisons that one process makes at the same time; further ones are left out.
        evidence_window: what is older says nothing about writes, lag and shadow reads any more.
        write_failure_rate: a gate wants proof that a smaller share of second writes failed.
        read_error_rate: a gate wants proof that a smaller share of modern reads failed.
        read_latency_ratio: p95 of modern reads divided by that of legacy, at most.
        read_latency_goal: the same, as the migration promised it; said beside the gate, and no condition.
        sync_lag_limit: how old a change past the app may be when it has reached the other store, for 95 %.
        evaluate_interval: how often the evaluator computes the gates; silent for three times as long, it is dead.
        failures_in_a_row: after so many evaluations in a row that fail reads go back by themselves.
        cool_down: for how long nobody goes forward after reads went back by themselves.
        override_lifetime: how long an override of gates is in force.
        canary_share_most: the largest percentage of units that can be served as canaries, outside the plan; the same
            percentage of the people can be named.
        canary_people_least: so many people can be named as canaries, however large a share they are.
        compare_batch: documents that validation compares in one snapshot.
        suspect_rounds: how often a suspected difference is looked at again.
        suspect_patience: for how long, in all, at the end of a validation.
        validation_resume_within: a validation that stopped on its way is taken up again while it is younger.
        drift_interval: how often drift is detected in the background.
        drift_sample: documents that a drift run compares beside those that were touched.
        drift_repair: what becomes of differences that drift detection found in the background: `never` leaves them to
            people; `authority` makes the follower say what the store in authority says, unless that has less.
        difference_retention: differences that were repaired or went away longer ago are thrown away.
        run_retention: so are validations, drift runs and rehearsals that ended longer ago and of which nothing is left.
        report_differences: differences shown in the JSON output; all of them are kept in the database.
        preflight_idle_transaction: a session that idles in a transaction for longer is worth a warning.
        preflight_free_space: bytes that should be free on the database's disk, where that can be seen.
        alert_interval: how often the scheduler looks for problems and sends alerts.
        alert_patience: a problem that a deploy or a slice shows for a moment must last for so long before it is told.
        alert_resolve_after: a problem that was not seen for so long is gone.
        alert_repeat_first, alert_repeat_longest: after how long an alert that nobody acknowledged is said again; each
            interval is twice the one before.
        alert_dirty_age: a change that waits to be carried over for longer is a problem.
        alert_window, alert_write_failures: so many failed second writes within the window are a problem.
        alert_retry_first_delay, alert_retry_longest_delay: bounds of the backoff of a message that cannot be sent.
        alert_give_up_after: a message that could not be sent for so long is given up.
        watch_interval: how often `--watch` looks again.
    """

    fence_timeout: timedelta = timedelta(seconds=10)
    schema_lock_timeout: timedelta = timedelta(milliseconds=200)
    schema_lock_patience: timedelta = timedelta(seconds=10)
    validation_max_age: timedelta = timedelta(hours=24)

    batch_target: timedelta = timedelta(milliseconds=150)
    batch_start: int = 100
    batch_minimum: int = 1
    batch_maximum: int = 1_000
    batch_lock_timeout: timedelta = timedelta(milliseconds=100)
    batch_statement_timeout: timedelta = timedelta(seconds=5)
    lease: timedelta = timedelta(seconds=15)
    retries: int = 3
    retry_first_delay: timedelta = timedelta(milliseconds=100)
    retry_longest_delay: timedelta = timedelta(seconds=5)
    reconnect_patience: timedelta = timedelta(seconds=30)
    slice: timedelta = timedelta(seconds=30)
    scheduler_interval: timedelta = timedelta(seconds=5)

    hold_poll: timedelta = timedelta(seconds=1)
    hold_longest: timedelta = timedelta(seconds=60)
    hold_replica_lag: timedelta = timedelta(seconds=10)
    hold_lock_waiters: int = 5
    hold_transaction_age: timedelta = timedelta(minutes=5)

    nice_batch_target: timedelta = timedelta(milliseconds=30)
    nice_ratio: float = 1.0

    sync_batch: int = 200
    sync_poll: timedelta = timedelta(seconds=1)
    sync_heartbeat: timedelta = timedelta(seconds=5)
    sync_retry_first_delay: timedelta = timedelta(milliseconds=200)
    sync_retry_longest_delay: timedelta = timedelta(minutes=5)

    write_patience: timedelta = timedelta(seconds=5)
    follower_patience: timedelta = timedelta(milliseconds=150)
    dual_write_verified_percent: int = 100
    metrics_flush: timedelta = timedelta(seconds=5)
    metrics_retention: timedelta = timedelta(days=30)

    ramp_plan: tuple[tuple[float, timedelta], ...] = (
        (5, timedelta(hours=24)),
        (20, timedelta(hours=24)),
        (50, timedelta(hours=48)),
        (100, timedelta(hours=24)),
    )
    read_patience: timedelta = timedelta(seconds=1)
    breaker_failures: int = 5
    breaker_window: timedelta = timedelta(seconds=10)
    breaker_pause: timedelta = timedelta(seconds=5)
    shadow_read_percent: int = 20
    shadow_read_patience: timedelta = timedelta(milliseconds=250)
    shadow_reads_at_once: int = 2
    evidence_window: timedelta = timedelta(hours=24)
    write_failure_rate: float = 0.001
    read_error_rate: float = 0.001
    read_latency_ratio: float = 1.1
    read_latency_goal: float = 0.7
    sync_lag_limit: timedelta = timedelta(milliseconds=100)
    evaluate_interval: timedelta = timedelta(seconds=15)
    failures_in_a_row: int = 3
    cool_down: timedelta = timedelta(hours=1)
    override_lifetime: timedelta = timedelta(hours=1)
    canary_share_most: int = 5
    canary_people_least: int = 10

    compare_batch: int = 1_000
    suspect_rounds: int = 12
    suspect_patience: timedelta = timedelta(seconds=3)
    validation_resume_within: timedelta = timedelta(hours=12)
    drift_interval: timedelta = timedelta(hours=1)
    drift_sample: int = 3_000
    drift_repair: str = "never"
    difference_retention: timedelta = timedelta(days=90)
    run_retention: timedelta = timedelta(days=90)
    report_differences: int = 100

    preflight_idle_transaction: timedelta = timedelta(minutes=5)
    preflight_free_space: int = 1024**3

    alert_interval: timedelta = timedelta(minutes=1)
    alert_patience: timedelta = timedelta(minutes=2)
    alert_resolve_after: timedelta = timedelta(minutes=2)
    alert_repeat_first: timedelta = timedelta(hours=1)
    alert_repeat_longest: timedelta = timedelta(hours=24)
    alert_dirty_age: timedelta = timedelta(minutes=5)
    alert_window: timedelta = timedelta(minutes=10)
    alert_write_failures: int = 5
    alert_retry_first_delay: timedelta = timedelta(seconds=30)
    alert_retry_longest_delay: timedelta = timedelta(hours=1)
    alert_give_up_after: timedelta = timedelta(hours=24)

    watch_interval: timedelta = timedelta(seconds=2)


_DEFAULTS = Settings()
KEYS: Mapping[str, Any] = {field.name.upper(): getattr(_DEFAULTS, field.name) for field in fields(Settings)}
"""Every key with its default."""

_ORDERED = (
    ("BATCH_MINIMUM", "BATCH_START"),
    ("BATCH_START", "BATCH_MAXIMUM"),
    ("RETRY_FIRST_DELAY", "RETRY_LONGEST_DELAY"),
    ("SYNC_RETRY_FIRST_DELAY", "SYNC_RETRY_LONGEST_DELAY"),
    ("ALERT_REPEAT_FIRST", "ALERT_REPEAT_LONGEST"),
    ("ALERT_RETRY_FIRST_DELAY", "ALERT_RETRY_LONGEST_DELAY"),
    ("BATCH_TARGET", "LEASE"),
    ("FOLLOWER_PATIENCE", "WRITE_PATIENCE"),
)
"""Pairs of which the first must not be greater than the second."""


def unknown_keys(given: Mapping[str, Any]) -> list[str]:
    """Keys of the dict that mean nothing, e.g. a misspelled one."""
    return sorted(set(given) - set(KEYS))


def bad_values(given: Mapping[str, Any]) -> list[str]:
    """A sentence for every value that makes no sense."""
    found = [sentence for key in sorted(set(given) & set(KEYS)) if (sentence := _bad_value(key, given[key]))]
    if found:
        return found
    values = {**KEYS, **given}
    return [
        f"{NAME}[{low!r}] is {values[low]}, which is more than {NAME}[{high!r}] with {values[high]}."
        for low, high in _ORDERED
        if values[low] > values[high]
    ]


_MAY_BE_ZERO = frozenset({"SHADOW_READ_PERCENT", "NICE_RATIO"})

_WORDS: Mapping[str, tuple[str, ...]] = {"DRIFT_REPAIR": ("never", "authority")}


def _either(words: tuple[str, ...]) -> str:
    return " or ".join(map(repr, words))


def _bad_value(key: str, value: Any) -> str:
    if isinstance(KEYS[key], timedelta):
        return _bad_duration(f"{NAME}[{key!r}]", value)
    if key in _MAY_BE_ZERO and value == 0 and not isinstance(value, bool):
        return ""
    if isinstance(KEYS[key], float):
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 10:
            return f"{NAME}[{key!r}] must be a number greater than 0 and at most 10, not {value!r}."
        return ""
    if isinstance(KEYS[key], tuple):
        return _bad_plan(key, value)
    if key in _WORDS:
        return "" if value in _WORDS[key] else f"{NAME}[{key!r}] must be {_either(_WORDS[key])}, not {value!r}."
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        return f"{NAME}[{key!r}] must be a whole number from 1, not {value!r}."
    return ""


def _bad_duration(name: str, value: Any) -> str:
    if not isinstance(value, timedelta):
        return f"{name} must be a timedelta, not {value!r}."
    if value <= timedelta(0) or value > timedelta(days=366):
        return f"{name} must be longer than nothing and at most a year, not {value}."
    return ""


def _bad_plan(key: str, value: Any) -> str:
    name = f"{NAME}[{key!r}]"
    if not isinstance(value, tuple | list) or not all(
        isinstance(step, tuple | list) and len(step) == 2 for step in value
    ):
        return f"{name} must be a list of pairs, a percentage and the timedelta of its soak, not {value!r}."
    for percent, soak in value:
        if isinstance(percent, bool) or not isinstance(percent, int | float) or round(percent, 2) != percent:
            return f"{name} must name percentages with at most two decimals, not {percent!r}."
        if bad := _bad_duration(f"The soak at {percent:g} % in {name}", soak):
            return bad
    percents = [percent for percent, _ in value]
    if not percents or percents != sorted(set(percents)) or percents[0] <= 0 or percents[-1] != 100:
        return f"{name} must rise from more than 0 to 100 %, not {', '.join(f'{percent:g}' for percent in percents)}."
    return ""


def given() -> Mapping[str, Any]:
    """The dict as the installation wrote it.

    Raises:
        ImproperlyConfigured: it is no dict.
    """
    value = getattr(django_settings, NAME, {})
    if not isinstance(value, Mapping):
        raise ImproperlyConfigured(f"{NAME} must be a dict, not {type(value).__name__}.")
    return value


@lru_cache(maxsize=1)
def settings() -> Settings:
    """The settings in force.

    Raises:
        ImproperlyConfigured: a key is unknown or a value makes no sense.
    """
    mine = given()
    wrong = [f"{NAME} has no key {key!r}." for key in unknown_keys(mine)] or bad_values(mine)
    if wrong:
        raise ImproperlyConfigured(" ".join(wrong))
    return Settings(**{key.lower(): value for key, value in mine.items()})


def _forget(*, setting: str, **_: Any) -> None:
    if setting == NAME:
        settings.cache_clear()


setting_changed.connect(_forget, dispatch_uid="migration_ops.conf")
