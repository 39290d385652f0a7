"""The checks and foreign keys of the modern tables: which there are, and validating them one by one.

While the tables are filled, foreign keys are left out and checks hold for new rows only. Afterwards each foreign key is
added `NOT VALID` and each constraint validated, which reads the table under a lock that stops nobody:

    ALTER TABLE habits ADD CONSTRAINT … FOREIGN KEY (week_id) REFERENCES weeks (id) NOT VALID;
    ALTER TABLE habits VALIDATE CONSTRAINT …;
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from django.db import DatabaseError, IntegrityError, connection

from migration_ops.definition import AnyMigration, ForeignKey
from migration_ops.exceptions import TableBusy, first_line
from migration_ops.patience import sqlstate
from migration_ops.schema import lock_safe

_CONSTRAINTS = """
SELECT c.conname::text, t.name, c.contype::text, c.convalidated
  FROM unnest(%s::text[]) WITH ORDINALITY AS t (name, n) JOIN pg_constraint c ON c.conrelid = to_regclass(t.name)
 WHERE c.contype IN ('c', 'f')
 ORDER BY t.n, c.contype, c.conname
"""

_INVALID_INDEXES = """
SELECT c.relname::text FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
 WHERE NOT (i.indisvalid AND i.indisready)
   AND i.indrelid = ANY (SELECT to_regclass(name) FROM unnest(%s::text[]) AS name)
 ORDER BY c.relname
"""

_CHECK_CONDITION = """
SELECT pg_get_expr(conbin, conrelid) FROM pg_constraint WHERE conname = %s AND conrelid = to_regclass(%s)
"""

_EXAMPLE_LENGTH = 300
_DUPLICATE_OBJECT = "42710"


@dataclass(frozen=True, slots=True)
class Constraint:
    """A check or foreign key of a modern table.

    Attributes:
        kind: `check` or `foreign_key`.
        validated: every row that exists satisfies it. False for one that is declared but not there yet.
        problem: why it could not be validated, with an example row; empty if nobody tried or it could.
    """

    name: str
    table: str
    kind: str
    validated: bool
    problem: str = ""


def constraints(migration: AnyMigration) -> list[Constraint]:
    """Every check and foreign key there is, and every foreign key there ought to be."""
    with connection.cursor() as cursor:
        cursor.execute(_CONSTRAINTS, [list(migration.modern_tables)])
        found = [
            Constraint(name, table, "check" if kind == "c" else "foreign_key", validated)
            for name, table, kind, validated in cursor.fetchall()
        ]
    return found + [Constraint(key.name, key.table, "foreign_key", validated=False) for key in _missing(migration)]


def invalid_indexes(migration: AnyMigration) -> list[str]:
    """Leftovers of a concurrent build that failed: they cost every write and serve no read."""
    with connection.cursor() as cursor:
        cursor.execute(_INVALID_INDEXES, [list(migration.modern_tables)])
        return [name for (name,) in cursor.fetchall()]


def validate(migration: AnyMigration) -> list[Constraint]:
    """Add the foreign keys that are missing, then validate whatever is not validated yet.

    One that fails does not keep the others from being tried; its `problem` says what is wrong. Run again, it does only
    what is left to do.
    """
    problems: dict[tuple[str, str], str] = {}
    for key in _missing(migration):
        try:
            _add(key)
        except (DatabaseError, TableBusy) as error:
            if not _added_meanwhile(error):
                problems[key.table, key.name] = first_line(error)
    for constraint in constraints(migration):
        place = constraint.table, constraint.name
        if constraint.validated or place in problems:
            continue
        try:
            _validate(constraint)
        except IntegrityError as error:
            problems[place] = f"{first_line(error)}; {_example(migration, constraint)}"
        except (DatabaseError, TableBusy) as error:
            problems[place] = first_line(error)
    return [
        replace(constraint, problem=problems.get((constraint.table, constraint.name), ""))
        for constraint in constraints(migration)
    ]


def _missing(migration: AnyMigration) -> list[ForeignKey]:
    with connection.cursor() as cursor:
        cursor.execute(_CONSTRAINTS, [list(migration.modern_tables)])
        there = {(table, name) for name, table, _, _ in cursor.fetchall()}
    return [key for key in migration.foreign_keys if (key.table, key.name) not in there]


def _add(key: ForeignKey) -> None:
    quote = connection.ops.quote_name
    lock_safe.execute(
        f"ALTER TABLE {quote(key.table)} ADD CONSTRAINT {quote(key.name)} FOREIGN KEY ({quote(key.column)})"
        f" REFERENCES {quote(key.references)} ({quote(key.referenced_column)}) NOT VALID",
        tables=[key.table, key.references],
    )


def _validate(constraint: Constraint) -> None:
    quote = connection.ops.quote_name
    lock_safe.execute(
        f"ALTER TABLE {quote(constraint.table)} VALIDATE CONSTRAINT {quote(constraint.name)}",
        tables=[constraint.table],
    )


def _example(migration: AnyMigration, constraint: Constraint) -> str:
    """One row that violates it, as JSON, cut to a readable length."""
    quote = connection.ops.quote_name
    declared = {key.name: key for key in migration.foreign_keys}.get(constraint.name)
    with connection.cursor() as cursor:
        if declared is not None:
            column, referenced = quote(declared.column), quote(declared.referenced_column)
            condition = (
                f"violator.{column} IS NOT NULL AND NOT EXISTS"
                f" (SELECT FROM {quote(declared.references)} AS one WHERE one.{referenced} = violator.{column})"
            )
        elif constraint.kind == "check":
            cursor.execute(_CHECK_CONDITION, [constraint.name, constraint.table])
            condition = f"NOT ({cursor.fetchone()[0]})"
        else:
            return "no example: this foreign key is not declared"
        cursor.execute(
            f"SELECT to_jsonb(violator)::text FROM {quote(constraint.table)} AS violator WHERE {condition} LIMIT 1"
        )
        row = cursor.fetchone()
    return f"for example {row[0][:_EXAMPLE_LENGTH]}" if row else "the row is gone by now, so try again"


def _added_meanwhile(error: Exception) -> bool:
    """Whether somebody else, who validates as well, was faster."""
    return isinstance(error, DatabaseError) and sqlstate(error) == _DUPLICATE_OBJECT
