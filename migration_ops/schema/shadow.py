"""Taking the modern tables away again, as long as nobody reads or writes them."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import DatabaseError, connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

from migration_ops import history, locks, state
from migration_ops.definition import AnyMigration
from migration_ops.exceptions import Refused
from migration_ops.models import (
    Difference,
    DirtyKey,
    ImportedDocument,
    Lineage,
    MergeRecord,
    PolledVersion,
    QuarantineItem,
    Run,
)
from migration_ops.patience import sqlstate
from migration_ops.schema.lock_safe import with_short_locks
from migration_ops.stages import Stage

DEPENDENTS_EXIST = "2BP01"

_FORGOTTEN = (Lineage, MergeRecord, QuarantineItem, ImportedDocument, DirtyKey, PolledVersion, Difference, Run)
"""What is known of this migration's rows means nothing without the tables. Before-images and history stay."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """What went, or with a dry run would go: tables that were there, and rows of the engine's state by table."""

    tables: tuple[str, ...]
    forgotten: dict[str, int]


def drop(migration: AnyMigration, *, actor: str, reason: str = "", dry_run: bool = False) -> Dropped:
    """Drop the modern tables, and let `migrate` make them anew. One transaction: all of it or nothing.

    Raises:
        Refused: the migration is past stage `off`, a later schema migration builds on the tables, there are rows that
            exist nowhere else, or something else in the database depends on the tables; the message names it.
        TableBusy: somebody holds a lock on one of them.
    """

    def step() -> Dropped:
        locks.enter_fence(migration)
        _only_at_off(migration)
        _only_unless_built_upon(migration)
        _only_without_irreplaceable_rows(migration)
        going = Dropped(_present(migration), _rows_to_forget(migration))
        if dry_run or not (going.tables or _recorded(migration) or any(going.forgotten.values())):
            return going
        _drop_tables(going.tables)
        recorder = MigrationRecorder(connection)
        for app, name in migration.schema_migrations:
            recorder.record_unapplied(app, name)
        for model in _FORGOTTEN:
            model._default_manager.filter(migration=migration.name).delete()
        evidence = {"tables": list(going.tables), "forgotten": going.forgotten}
        history.append(migration, actor=actor, verb="shadow_schema drop", reason=reason, evidence=evidence)
        return going

    return with_short_locks(step, tables=migration.modern_tables)


def _only_at_off(migration: AnyMigration) -> None:
    stage = state.stage(migration)
    if stage is not Stage.OFF:
        raise Refused(
            f"{migration.name} is at {stage}, so the modern tables are in use."
            " Go back first: `manage.py stage back --to off`."
        )


def _only_unless_built_upon(migration: AnyMigration) -> None:
    loader = MigrationLoader(connection)
    own = set(migration.schema_migrations)
    for node in own & set(loader.graph.node_map):
        for child in loader.graph.node_map[node].children:
            if child.key not in own and child.key in loader.applied_migrations:
                app, name = child.key
                raise Refused(f"The schema migration {app}.{name} builds on the modern tables; unapply it first.")


def _only_without_irreplaceable_rows(migration: AnyMigration) -> None:
    """Nobody can add one afterwards: the tables stay locked until they are gone."""
    for name in _among_present(migration.irreplaceable_tables):
        table = connection.ops.quote_name(name)
        with connection.cursor() as cursor:
            cursor.execute(f"LOCK TABLE {table} IN SHARE MODE")
            cursor.execute(f"SELECT count(*) FROM {table}")
            (rows,) = cursor.fetchone()
        if rows:
            raise Refused(
                f"{name} has {rows:,} rows that exist nowhere else or that the application works with, so nothing was"
                " dropped. If nobody needs the tables any more, stop the application, keep a copy of what is worth it,"
                " and delete these rows first."
            )


def _present(migration: AnyMigration) -> tuple[str, ...]:
    return _among_present(migration.modern_tables)


def _among_present(tables: tuple[str, ...]) -> tuple[str, ...]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT name FROM unnest(%s::text[]) WITH ORDINALITY AS t (name, n)"
            " WHERE to_regclass(name) IS NOT NULL ORDER BY n",
            [list(tables)],
        )
        return tuple(name for (name,) in cursor.fetchall())


def _recorded(migration: AnyMigration) -> bool:
    return bool(set(MigrationRecorder(connection).applied_migrations()) & set(migration.schema_migrations))


def _rows_to_forget(migration: AnyMigration) -> dict[str, int]:
    return {
        model._meta.db_table: model._default_manager.filter(migration=migration.name).count() for model in _FORGOTTEN
    }


def _drop_tables(tables: tuple[str, ...]) -> None:
    with connection.cursor() as cursor:
        for table in tables:
            try:
                cursor.execute(f"DROP TABLE {connection.ops.quote_name(table)} RESTRICT")
            except DatabaseError as error:
                if sqlstate(error) != DEPENDENTS_EXIST:
                    raise
                raise Refused(f"Something depends on {table}, so nothing was dropped: {_detail(error)}") from error


def _detail(error: DatabaseError) -> str:
    diagnosis = getattr(error.__cause__, "diag", None)
    return (getattr(diagnosis, "message_detail", None) or str(error)).replace("\n", "; ")
