"""A family's write that is killed anywhere, in an installation whose legacy store is a file: afterwards both stores say
the same, and it is what was acknowledged or what was there before, never half of it."""

from __future__ import annotations

import json
import signal
from datetime import date
from pathlib import Path

import pytest
from django.db import connection

from habits import family
from habits.family import Contents, Line
from habits.stores import json_file
from migration_ops import failpoints
from migration_ops.models import DirtyKey
from migration_ops.sync import carry, dual_write, follower, settling
from tests.acceptance import modern
from tests.acceptance.commands import run
from tests.engine.waiting import eventually
from tests.families.conftest import Installation
from tests.habits.legacy_files import OWNER
from tests.killed import run_until

Said = list[tuple[str, list[tuple[str, list[str]]]]]

CHILD, MONDAY = "민지", date(2025, 7, 21)
OLD = Contents("Growing", "Ice cream", habits=[Line("Read"), Line("Sing", ("green",) * 7)])
NEW = Contents("Growing", "A book", habits=[Line("Sing", ("red",) * 7), Line("Read"), Line("Swim")])
LAST = Contents("Growing", "Nothing", habits=[Line("Rest")])
CHANGES = {"created": (None, NEW), "changed": (OLD, NEW), "deleted": (OLD, None)}

LEGACY_FIRST = {
    dual_write.AUTHORITY_NOTED: "before",
    json_file._WRITING: "before",
    json_file._WRITTEN: "before",
    json_file._REPLACED: "after",
    dual_write.AUTHORITY_SAVED: "after",
    follower.FOLLOWED: "after",
    dual_write.COMMITTED: "after",
}
"""What both stores must say afterwards; once the file is replaced nothing brings the old one back."""

MODERN_FIRST = {
    dual_write.AUTHORITY_SAVED: "before",
    settling._CLAIMED: "after",
    settling._LOCKED: "after",
    json_file._WRITING: "after",
    json_file._WRITTEN: "after",
    json_file._REPLACED: "after",
    carry._SAVED: "after",
    settling._DONE: "after",
    settling._COMMITTED: "after",
    dual_write.COMMITTED: "after",
}
"""Modern commits before the file is written, and from then on the write may have been acknowledged."""


def write(contents: Contents | None) -> None:
    if contents is None:
        family.delete(OWNER, CHILD, MONDAY)
    else:
        family.put(OWNER, CHILD, MONDAY, contents)


def said_by_file(path: Path) -> Said:
    return [
        (row["reward"], [(line["name"], [mark or "none" for mark in line["times"]]) for line in row["habits"]])
        for row in json.loads(path.read_text(encoding="utf-8"))["records"]
    ]


def said_by_modern() -> Said:
    return [(board["reward"], board["habits"]) for board in modern.boards().values()]


def said(contents: Contents | None) -> Said:
    if contents is None:
        return []
    return [(contents.reward, [(line.name, list(line.times)) for line in contents.habits])]


def test_every_failpoint_on_the_way_is_tried() -> None:
    ours = {name for name in failpoints.LABELS if name.startswith(("dual_write.", "legacy_json."))}
    assert ours == {name for name in LEGACY_FIRST | MODERN_FIRST if name.startswith(("dual_write.", "legacy_json."))}


@pytest.mark.parametrize(
    ("stage", "failpoint", "expected"),
    [("dual_write", *case) for case in LEGACY_FIRST.items()] + [("ramp", *case) for case in MODERN_FIRST.items()],
)
def test_killed_anywhere_both_stores_agree_afterwards_and_nothing_acknowledged_is_gone(
    file: Installation, stage: str, failpoint: str, expected: str
) -> None:
    assert file.file is not None
    file.reach(stage)
    for how, (before, after) in CHANGES.items():
        if before is not None:
            write(before)
        assert run_until(failpoint, lambda: write(after)) == -signal.SIGKILL, how  # noqa: B023 - called now
        assert said_by_file(file.file) in (said(before), said(after)), f"{how}: the file is always whole"
        # The server may not have noticed yet that the killed one, which holds the key, has hung up.
        eventually(lambda: run("sync_changes").exit_code == 0)
        wanted = said(after if expected == "after" else before)
        assert said_by_modern() == said_by_file(file.file) == wanted, how
        assert not DirtyKey.objects.exists(), how
        checked = run("validate_migration")
        assert (checked.exit_code, checked["mismatched"]) == (0, 0), (how, checked.data, checked.errors)
        write(LAST)
        assert said_by_file(file.file) == said_by_modern() == said(LAST), how
        assert not list(file.file.parent.glob(".*")), f"{how}: a draft that was left over is gone"
        write(None)


def test_when_the_last_board_is_gone_a_validation_is_complete_whatever_the_planner_remembers(
    file: Installation,
) -> None:
    file.reach("dual_write")
    write(LAST)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE weeks")
    write(None)
    checked = run("validate_migration")
    assert (checked.exit_code, checked["complete"]) == (0, True), checked.errors
