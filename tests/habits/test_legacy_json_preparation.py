"""A legacy file that somebody changes all the time: its index is brought up to date where nobody waits for it."""

from __future__ import annotations

import json
import time
from datetime import date, timedelta
from pathlib import Path

import pytest
from django.utils import timezone
from pytest_django import Settings

from habits.board import BoardKey
from habits.migration import boards
from habits.stores.legacy_json import LegacyJsonStore
from habits.stores.modern import ModernStore
from migration_ops import state
from migration_ops.backfill.batch import Job
from migration_ops.backfill.range_worker import Ending
from migration_ops.backfill.stop import Stop
from migration_ops.backfill.worker import work
from migration_ops.conf import settings as engine
from migration_ops.exceptions import LeaseLost
from migration_ops.models import RunRange
from migration_ops.preparation import prepare
from migration_ops.sync import applier
from migration_ops.verify.validation import discard, validate
from tests.engine.backfilling import make_run
from tests.engine.syncing import begin_dual_write
from tests.habits.legacy_files import OWNER, create_owners, row

LEASE = timedelta(seconds=1.5)
PADDING = ", ".join(f'{{"n": {number}}}' for number in range(60_000))
"""Slow to look through for keys that stand twice, quick to read."""

SLOW = 1.3
"""Seconds that the index takes: longer than the interval of signs of life, and than a transaction may sleep."""

CHANGES = 5
"""More than there are attempts at a batch."""


@pytest.fixture
def path(tmp_path: Path, settings: Settings, transactional_db: None) -> Path:
    """Where the file is that is the legacy store, at stage `dual_write`."""
    settings.VAR_DIR = tmp_path / "var"
    settings.LEGACY_BACKEND = "json"
    settings.LEGACY_JSON_PATH = str(tmp_path / "legacy.ndjson")
    settings.MIGRATION_OPS = {"LEASE": LEASE, "RETRY_FIRST_DELAY": timedelta(milliseconds=1)}
    create_owners()
    change(Path(settings.LEGACY_JSON_PATH), "at first", 1)
    begin_dual_write(boards)
    return Path(settings.LEGACY_JSON_PATH)


@pytest.fixture
def rows(path: Path) -> int:
    """So many rows, of one board each, are in the file: enough for its index to take long."""
    count, seconds = 10, 0.0
    while seconds < SLOW:
        count += 5
        change(path, "at first", count)
        began = time.monotonic()
        prepare(LegacyJsonStore(path))
        seconds = time.monotonic() - began
    return count


def change(path: Path, theme: str, count: int) -> None:
    """Replace the file by one in which every board has this theme."""
    draft = path.with_name("draft")
    rows = (json.dumps(row(number, child_name=f"child {number}", theme=theme)) for number in range(count))
    draft.write_text("".join(f'{text[:-1]}, "padding": [{PADDING}]}}\n' for text in rows))
    draft.rename(path)


class Changing:
    """Somebody who changes the file before each of the first attempts at a batch, but not while it is being indexed.

    Attributes:
        leases: seconds that the range's lease still lasted at each sign of life that came while it was.
    """

    def __init__(self, path: Path, rows: int, var: Path) -> None:
        self.path, self.rows, self.var = path, rows, var
        self.changes = 0
        self.leases: list[float] = []

    def __call__(self, *, now: bool = False) -> None:
        if any(self.var.rglob("*.building")):
            (until,) = RunRange.objects.filter(number=1).values_list("lease_until", flat=True)
            self.leases.append((until - timezone.now()).total_seconds() if until else 0.0)
        elif self.changes < CHANGES and not now:
            self.changes += 1
            change(self.path, f"change {self.changes}", self.rows)


def test_a_file_that_changes_before_every_batch_is_migrated_though_its_index_takes_longer_than_a_batch_may_sleep(
    path: Path, rows: int, tmp_path: Path
) -> None:
    assert engine().lease.total_seconds() / 3 < SLOW / 2
    run = make_run(boards)
    since = state.read(boards).capture_since
    job = Job(migration=boards, run_id=run.pk, legacy=boards.legacy, capture_since=since, fresh=True)
    changing = Changing(path, rows, tmp_path / "var")
    assert work(job, fixed=1, stop=Stop(), beat=changing) is Ending.DONE
    assert changing.changes == CHANGES
    assert changing.leases
    assert min(changing.leases) > LEASE.total_seconds() / 2
    applier.drain(boards)
    validation = validate(boards, actor="the test", keep=False)
    assert (validation.complete, validation.tally.matched, validation.tally.differences) == (True, rows, 0)
    discard(validation)
    key = BoardKey(OWNER, "child 3", date(2025, 7, 21))
    assert ModernStore().load([key]).by_key()[key].theme == f"change {CHANGES}"


def test_what_is_raised_at_a_sign_of_life_ends_the_indexing_and_leaves_no_half_index(
    path: Path, rows: int, tmp_path: Path
) -> None:
    def lost() -> None:
        raise LeaseLost

    change(path, "now", rows)
    store = LegacyJsonStore(path)
    with pytest.raises(LeaseLost):
        prepare(store, lost)
    assert not list(tmp_path.rglob("*.building"))
    assert store.estimate() == rows
