"""What must hold of the tiny domain whenever things are quiet, said without the code under test."""

from __future__ import annotations

from collections import defaultdict

from django.db import connection

from tests.notes.schema import modern_rows


class OutOfStepError(AssertionError):
    """Something was lost, is extra, or differs."""


def legacy_rows() -> list[tuple[int, str | None, str | None, str | None]]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, notebook, title, body FROM legacy_notes ORDER BY id DESC")
        return cursor.fetchall()


def expected_notes() -> list[tuple[str, str, list[str]]]:
    """What the modern table must hold, from the legacy rows alone: nothing of a note that has a row without body."""
    lines: dict[tuple[str, str], list[str | None]] = defaultdict(list)
    for _, notebook, title, body in legacy_rows():
        if notebook and title and title.strip():
            lines[notebook, title.strip()].append(body)
    return sorted((*key, bodies) for key, bodies in lines.items() if None not in bodies)


def assert_in_step() -> None:
    """Nothing lost, nothing extra, nothing different; every row in the lineage and no other.

    Raises:
        OutOfStepError: otherwise.
    """
    expected, found = expected_notes(), sorted(modern_rows())
    if found != expected:
        raise OutOfStepError(f"modern has {found}, legacy says {expected}")
    with connection.cursor() as cursor:
        cursor.execute("SELECT row FROM migration_ops_lineage")
        lineage = {int(row) for (row,) in cursor.fetchall()}
    rows = {row[0] for row in legacy_rows()}
    if lineage != rows:
        raise OutOfStepError(f"the lineage has rows {lineage}, legacy has {rows}")
