"""The unique keys of the modern tables: without them a row can stand there twice, and only one of the two is seen."""

from __future__ import annotations

from django.apps import apps
from django.db import connection
from django.db.models import UniqueConstraint

from migration_ops.definition import AnyMigration

_IN_FORCE = """
SELECT wanted.name FROM unnest(%s::text[], %s::text[]) AS wanted (name, on_table)
 WHERE NOT EXISTS (
       SELECT FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
        WHERE relname = wanted.name AND indrelid = to_regclass(wanted.on_table)
          AND indisunique AND indisvalid AND indimmediate)
 ORDER BY wanted.name
"""


def missing(migration: AnyMigration) -> list[str]:
    """Names of the unique keys that the models of the modern tables declare and the database does not enforce."""
    declared = {
        constraint.name: model._meta.db_table
        for model in apps.get_models()
        if model._meta.db_table in migration.modern_tables
        for constraint in model._meta.constraints
        if isinstance(constraint, UniqueConstraint)
    }
    with connection.cursor() as cursor:
        cursor.execute(_IN_FORCE, [list(declared), list(declared.values())])
        return [name for (name,) in cursor.fetchall()]
