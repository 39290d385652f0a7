"""Puts a made-up data set into the legacy store of this installation."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any

from django.conf import settings
from django.db import connection, transaction

from habits.migration import boards
from habits.seed_data import DataSet, Record
from habits.stores.json_file import holds_lines, opened
from habits.stores.json_reader import JsonReader
from habits.stores.legacy_rows import COLUMNS
from habits.stores.legacy_schema import TABLE, create_table, table_exists
from migration_ops import state
from migration_ops.exceptions import Refused, UnusableInput
from migration_ops.models import MigrationState
from migration_ops.stages import Stage

LOOKED_AT = 50
"""So many rows decide whether what is there already is this data set."""


@dataclass(frozen=True, slots=True)
class Seeded:
    """What came of it.

    Attributes:
        rows: how many were added.
        owners: how many families the data set has.
        target: the table or the file.
        present: the data set was there already, so nothing was added.
    """

    rows: int
    owners: int
    target: str
    present: bool = False


def refuse_to_reset() -> None:
    """A reset deletes every legacy row, and capture carries that over to modern. That is what somebody wants who tries
    the product out, and nobody whose families live in modern already.

    Raises:
        Refused: the migration is at `ramp` or beyond, where modern has the word for families.
    """
    if MigrationState._meta.db_table not in connection.introspection.table_names():
        return  # nothing was ever migrated
    stage = state.stage(boards)
    if stage.position >= Stage.RAMP.position:
        raise Refused(
            f"{boards.name} is at stage {stage}: families live in the modern tables, and --reset would delete every"
            " week they have, there too. Go back to dual_write first, or say --force if it is all made up."
        )


def seed(data: DataSet, *, reset: bool) -> Seeded:
    """Put the data set into the configured legacy store; with `reset`, in place of what is there.

    Raises:
        UnusableInput: there is other data already, or the file cannot be written; nothing was changed.
    """
    if settings.LEGACY_BACKEND == "json":
        return _seed_file(data, Path(settings.LEGACY_JSON_PATH), reset=reset)
    return _seed_table(data, reset=reset)


def planned(data: DataSet, *, reset: bool) -> Seeded:
    """What `seed` would do, as things are now; nothing is written.

    Raises:
        UnusableInput: there is other data already, or the file cannot be read.
    """
    if settings.LEGACY_BACKEND == "json":
        path = Path(settings.LEGACY_JSON_PATH)
        target, present = str(path), not reset and _is_in_file(data, path)
    else:
        target, present = TABLE, not reset and table_exists() and _is_in_table(data)
    return Seeded(0 if present else data.rows, data.owners, target, present)


def _seed_table(data: DataSet, *, reset: bool) -> Seeded:
    with transaction.atomic():
        create_table()
        with connection.cursor() as cursor:
            cursor.execute("LOCK TABLE habit_tracker IN SHARE ROW EXCLUSIVE MODE")
            if reset:
                cursor.execute("DELETE FROM habit_tracker")
            if _is_in_table(data):
                return Seeded(0, data.owners, TABLE, present=True)
            last = 0
            with cursor.copy(f"COPY habit_tracker ({', '.join(COLUMNS)}) FROM STDIN") as copy:
                for record in data.records():
                    copy.write_row(table_values(record))
                    last = record["id"]
            cursor.execute(
                "SELECT setval(pg_get_serial_sequence('habit_tracker', 'id'), greatest(%s, (SELECT last_value FROM "
                + _sequence(cursor)
                + ")))",
                [max(last, 1)],
            )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE habit_tracker")
    return Seeded(data.rows, data.owners, TABLE)


def _sequence(cursor: Any) -> str:
    cursor.execute("SELECT pg_get_serial_sequence('habit_tracker', 'id')")
    return str(cursor.fetchone()[0])


def table_values(record: Record) -> list[Any]:
    """The row as values of `COLUMNS`, for the table."""
    return [
        json.dumps(record[column], ensure_ascii=False)
        if column in ("habits", "reflection") and record[column] is not None
        else record[column]
        for column in COLUMNS
    ]


def _seed_file(data: DataSet, path: Path, *, reset: bool) -> Seeded:
    if not reset and _is_in_file(data, path):
        return Seeded(0, data.owners, str(path), present=True)
    lines = holds_lines(path)
    with _replacing(Path(os.path.realpath(path))) as file:
        if not lines:
            file.write('{"records": [\n')
        for number, record in enumerate(data.records()):
            separator = "" if lines or number == 0 else ",\n"
            file.write(separator + json.dumps(record, ensure_ascii=False) + ("\n" if lines else ""))
        if not lines:
            file.write("\n]}\n")
    return Seeded(data.rows, data.owners, str(path))


def _is_in_table(data: DataSet) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, child_name, week_period FROM habit_tracker ORDER BY id LIMIT %s", [LOOKED_AT])
        return _is_there(cursor.fetchall(), data, f"table {TABLE}")


def _is_in_file(data: DataSet, path: Path) -> bool:
    if not path.exists() or not path.stat().st_size:
        return False
    with opened(path) as (stream, _):
        records = (said.value for said in JsonReader(stream, str(path), lines=holds_lines(path)).records())
        objects = (record for record in records if isinstance(record, dict))
        first = [(row.get("id"), row.get("child_name"), row.get("week_period")) for row in islice(objects, LOOKED_AT)]
    return _is_there(first, data, str(path))


def _is_there(rows: list[tuple[Any, ...]], data: DataSet, where: str) -> bool:
    """Whether these first rows of a store are those of the data set; False where the store is empty.

    Raises:
        UnusableInput: they are others.
    """
    if not rows:
        return False
    made_up = {
        (record["id"], record["child_name"], record["week_period"]) for record in islice(data.records(), 2 * LOOKED_AT)
    }
    known = {number for number, _, _ in made_up}
    overlapping = [row for row in rows if row[0] in known]
    if overlapping and all(row in made_up for row in overlapping):
        return True
    raise UnusableInput(f"There are other rows in {where} already; --reset replaces them.")


@contextmanager
def _replacing(path: Path) -> Iterator[IO[str]]:
    """A file that takes the place of `path` at the end, whole or not at all."""
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise UnusableInput(f"{path} cannot be written: {error.strerror}.") from error
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
