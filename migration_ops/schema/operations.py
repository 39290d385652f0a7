"""Steps for Django migrations that may run while people use the table."""

from __future__ import annotations

from typing import Any

from django.contrib.postgres.operations import AddIndexConcurrently, NotInTransactionMixin
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.operations import AddConstraint
from django.db.migrations.state import ProjectState


class CreateIndexConcurrently(AddIndexConcurrently):
    """`CREATE INDEX CONCURRENTLY` that can be run again, whatever became of the last attempt.

    PostgreSQL leaves an INVALID index behind when the build fails or is killed: it costs every write, serves no read,
    and `IF NOT EXISTS` would take it for done. It is dropped first. A valid index of that name is the finished work of
    an attempt that was killed before Django recorded it, and is kept.
    """

    def database_forwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: ProjectState, to_state: ProjectState
    ) -> None:
        model = to_state.apps.get_model(app_label, self.model_name)
        if not self.allow_migrate_model(schema_editor.connection.alias, model):
            return
        if _is_left_to_build(schema_editor, self.index.name):
            super().database_forwards(app_label, schema_editor, from_state, to_state)


class CreateUniqueKeyConcurrently(NotInTransactionMixin, AddConstraint):
    """A unique key that is an index alone (of expressions, or of some rows only), built and built again as
    `CreateIndexConcurrently` does it.

    Rows that are there twice make it fail; it can be run again once they are gone.
    """

    def database_forwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: ProjectState, to_state: ProjectState
    ) -> None:
        self._ensure_not_in_transaction(schema_editor)
        model = to_state.apps.get_model(app_label, self.model_name)
        if not self.allow_migrate_model(schema_editor.connection.alias, model):
            return
        if _is_left_to_build(schema_editor, self.constraint.name):
            created = str(self.constraint.create_sql(model, schema_editor))
            schema_editor.execute(created.replace("CREATE UNIQUE INDEX", "CREATE UNIQUE INDEX CONCURRENTLY", 1))

    def database_backwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: ProjectState, to_state: ProjectState
    ) -> None:
        self._ensure_not_in_transaction(schema_editor)
        schema_editor.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {schema_editor.quote_name(self.constraint.name)}")


def _is_left_to_build(schema_editor: Any, name: str) -> bool:
    """Whether there is no finished index of that name; what an attempt left behind is dropped."""
    valid = _index_is_valid(schema_editor, name)
    if valid is False:
        schema_editor.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {schema_editor.quote_name(name)}")
    return not valid


def _index_is_valid(schema_editor: Any, name: str) -> bool | None:
    """Whether the index in the current schema can be used; None where there is none of that name."""
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(
            "SELECT i.indisvalid AND i.indisready FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
            " WHERE c.relname = %s AND c.relnamespace = current_schema()::regnamespace",
            [name],
        )
        row = cursor.fetchone()
    return row[0] if row else None
