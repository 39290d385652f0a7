"""Steps that the tests of the backfill share."""

from __future__ import annotations

import io
import json
from typing import Any

from django.core.management import call_command
from django.db import transaction

from migration_ops import runs, state
from migration_ops.backfill import lease as leases
from migration_ops.definition import AnyMigration, Side
from migration_ops.models import Run, RunKind
from migration_ops.runs import Plan
from tests.engine.syncing import rows


def make_run(migration: AnyMigration) -> Run:
    """A run that nobody works on, with the ranges a backfill by one worker has."""
    since = state.read(migration).capture_since
    options = {"fresh": True, "capture_lost": 0, "capture_since": since and since.isoformat()}
    plan = Plan(spans=migration.legacy().spans(1), side=Side.LEGACY, options=options, total=None)
    with transaction.atomic():
        opened = runs.open_new(migration, RunKind.BACKFILL, plan, actor="test")
        leases.release(opened.lease)
    return opened.run


def fill(count: int) -> list[int]:
    """So many notes of one line, `n0000` and so on in ten notebooks; the ids of their rows."""
    made = rows(
        "INSERT INTO legacy_notes (notebook, title, body)"
        " SELECT 'book' || n %% 10, 'n' || lpad(n::text, 4, '0'), 'line ' || n FROM generate_series(0, %s - 1) AS n"
        " ORDER BY n RETURNING id",
        count,
    )
    return [number for (number,) in made]


def backfill(*arguments: str) -> tuple[int, dict[str, Any], str]:
    """Run the command in this process: exit code, JSON object, stderr."""
    out, err = io.StringIO(), io.StringIO()
    code = 0
    try:
        call_command("backfill", *arguments, "--json", "--actor", "test", stdout=out, stderr=err)
    except SystemExit as end:
        code = int(str(end.code))
    return code, json.loads(out.getvalue()), err.getvalue()
