"""One look at a migration: stage and gates, runs, what waits, what is in quarantine, what differs, what happened.

Selectors only; every value is ready for JSON.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from django.db import connection
from django.db.models import Count

from migration_ops import gates, history, stages, state
from migration_ops.definition import AnyMigration
from migration_ops.gates import opening
from migration_ops.models import UNSETTLED, Lineage, QuarantineItem, QuarantineStatus, Run, RunKind
from migration_ops.rollout import forward, standing, way_back
from migration_ops.state import State
from migration_ops.verify import lifecycle

HISTORY_SHOWN = 5

_ROWS_LOOKED_AT = ("rows_read", "legacy_rows")


def stage(migration: AnyMigration, *, with_gates: bool = True) -> dict[str, Any]:
    """Where the migration stands, where it can go, the gates of the next step as they are now, and the way back."""
    now = state.read(migration)
    return {
        **placed(now),
        "gates": gates_ahead(migration, now) if with_gates else [],
        "way_back": way_back_of(migration),
    }


def way_back_of(migration: AnyMigration) -> dict[str, Any]:
    """Documents that have not reached legacy yet, and those that could not; the first hundred by name."""
    found = way_back.look(migration)
    blocked = [{**migration.describe_key(key), "reason": reason} for key, reason in found.blocked.items()]
    return {"waiting": found.waiting, "blocked": len(blocked), "examples": blocked[:100]}


def placed(now: State) -> dict[str, Any]:
    """The stage and where one can go from it: `next` is the stage after it, `next_step` what the plan does next."""
    following, step = stages.next_stage(now.stage), forward.following(now)
    return {
        "migration": now.name,
        "stage": now.stage.value,
        "percent": float(now.percent),
        "hold": now.hold,
        "kill": now.kill,
        "version": now.version,
        "capture_since": now.capture_since and now.capture_since.isoformat(),
        "next": following and following.value,
        "next_step": step and str(step),
        "back_to": [earlier.value for earlier in stages.earlier_stages(now.stage)],
    }


def gates_ahead(migration: AnyMigration, now: State) -> list[dict[str, Any]]:
    """The gates between this stage and the next one."""
    following = stages.next_stage(now.stage)
    step = stages.transition(now.stage, following) if following else None
    return [gate.as_dict() for gate in gates.evaluate(migration, step.gates)] if step else []


def gates_of_plan(migration: AnyMigration, now: State) -> list[dict[str, Any]]:
    """The gates of what the plan does next, with the overrides in force."""
    step = forward.following(now)
    return [gate.as_dict() for gate in opening.look(migration, now, forward.passage(step))] if step else []


def everything(migration: AnyMigration) -> dict[str, Any]:
    """All there is to know at a glance."""
    return {
        **stage(migration, with_gates=False),
        "gates": gates_of_plan(migration, state.read(migration)),
        "runs": {kind.value: last_run(migration, kind) for kind in RunKind},
        "dirty": dirty(migration),
        "quarantine": quarantine(migration),
        "lineage_rows": Lineage.of(migration).count(),
        "differences_open": lifecycle.standing(migration).filter(status__in=UNSETTLED).count(),
        "history": last_entries(migration),
    }


def last_run(migration: AnyMigration, kind: RunKind) -> dict[str, Any] | None:
    """The run of this kind that began last, and how far it got; None if there was none."""
    run = Run.objects.filter(migration=migration.name, kind=kind).order_by("-id").first()
    if run is None:
        return None
    rows = rows_looked_at(run)
    return {
        "run": run.pk,
        "status": run.status,
        "started_at": run.started_at.isoformat(),
        "ended_at": run.ended_at and run.ended_at.isoformat(),
        "seconds": round(run.worked_seconds, 1),
        "rows": rows,
        "rows_expected": run.total,
        "share": round(min(1.0, rows / run.total), 4) if run.total else None,
        "hold_reason": run.hold_reason,
        "error": run.error,
        "result": run.result,
    }


def rows_looked_at(run: Run) -> int:
    """Legacy rows that this run has read or compared so far."""
    counters: Counter[str] = Counter()
    for counted in run.ranges.values_list("counters", flat=True):
        counters.update({name: value for name, value in counted.items() if isinstance(value, int)})
    return next((counters[name] for name in _ROWS_LOOKED_AT if name in counters), 0)


def dirty(migration: AnyMigration) -> dict[str, Any]:
    """How many changes wait to be applied, the age of the oldest in seconds, by the side that changed, with errors."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT side, count(*), extract(epoch FROM clock_timestamp() - min(created_at))::float,"
            " count(*) FILTER (WHERE attempts > 0)"
            " FROM migration_ops_dirtykey WHERE migration = %s GROUP BY side ORDER BY side",
            [migration.name],
        )
        sides = cursor.fetchall()
    return {
        "count": sum(count for _, count, _, _ in sides),
        "oldest_seconds": round(max((age for _, _, age, _ in sides), default=0.0), 1),
        "by_side": {side: count for side, count, _, _ in sides},
        "failing": sum(failing for _, _, _, failing in sides),
    }


def quarantine(migration: AnyMigration) -> dict[str, Any]:
    """How many rows wait for a decision and how many were accepted, each by code."""
    found: dict[str, dict[str, int]] = {QuarantineStatus.OPEN.value: {}, QuarantineStatus.ACCEPTED.value: {}}
    counted = (
        QuarantineItem.objects.filter(migration=migration.name, status__in=found)
        .values_list("status", "code")
        .annotate(rows=Count("pk"))
        .order_by("status", "code")
    )
    for status, code, rows in counted:
        found[status][code] = rows
    return {
        "open": sum(found["open"].values()),
        "accepted": sum(found["accepted"].values()),
        "open_by_code": found["open"],
        "accepted_by_code": found["accepted"],
    }


def last_entries(migration: AnyMigration, count: int = HISTORY_SHOWN) -> list[dict[str, Any]]:
    """The latest entries of the history, the latest first."""
    return [standing.entry(each) for each in history.entries(migration)[:count]]
