"""The function and the triggers that watch one captured table, its partitions and its children.

Three AFTER triggers for statements (a transition table belongs to one event each) and one that refuses TRUNCATE; all
`ENABLE ALWAYS`, so that a session that writes with `session_replication_role = replica` is noticed too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from django.db import connection
from psycopg import sql

from migration_ops import guards
from migration_ops.definition import AnyMigration, CapturedTable, Side
from migration_ops.exceptions import UnusableInput
from migration_ops.sentence import said
from migration_ops.sync.dirty import CHANNEL
from migration_ops.sync.origin import SETTING

LOST = "migration_ops_capture_lost"
"""The sequence that counts statements whose changes could not be written to the dirty list."""

EVENTS = ("insert", "update", "delete")
_TRUNCATE = "truncate"

_FUNCTION = """
CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS {body}
"""

# The UPDATE notes both ids of a row whose id changed; UNION leaves one notice where they are the same. A queue of
# notifications that somebody keeps from moving on would fail the user's COMMIT when it is full: nobody is called then.
# An assignment evaluates an expression; PERFORM would run a query for it, and a user waits.
_BODY = """
DECLARE
    called boolean;
BEGIN
    IF coalesce(current_setting({setting}, true), '') <> '' THEN
        RETURN NULL;
    END IF;
    BEGIN
        IF TG_OP = 'INSERT' THEN
            INSERT INTO {dirty} (migration, side, {column}, created_at)
            SELECT {migration}, {side}, changed, clock_timestamp() FROM ({after}) AS rows (changed);
        ELSIF TG_OP = 'DELETE' THEN
            INSERT INTO {dirty} (migration, side, {column}, created_at)
            SELECT {migration}, {side}, changed, clock_timestamp() FROM ({before}) AS rows (changed);
        ELSE
            INSERT INTO {dirty} (migration, side, {column}, created_at)
            SELECT {migration}, {side}, changed, clock_timestamp()
              FROM ({after} UNION {before}) AS rows (changed);
        END IF;
        called := FOUND AND pg_notification_queue_usage() < 0.5 AND pg_notify({channel}, {migration}) IS NOT NULL;
    EXCEPTION WHEN OTHERS THEN
        RAISE WARNING 'A change of % was not captured: %', TG_RELID::regclass, SQLERRM;
        BEGIN
            PERFORM nextval({lost});
        EXCEPTION WHEN OTHERS THEN
            RAISE WARNING 'The lost capture was not counted: %', SQLERRM;
        END;
    END;
    RETURN NULL;
END
"""

_TRUNCATE_BODY = """
BEGIN
    IF coalesce(current_setting({may_truncate}, true), '') = 'yes' THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION 'TRUNCATE of % is refused while the migration % captures its changes.',
                    TG_RELID::regclass, {migration}
        USING ERRCODE = 'restrict_violation',
              HINT = 'Use DELETE, which capture can follow, or go back to stage off first.';
END
"""

_TRANSITION_TABLES = {
    "insert": sql.SQL("REFERENCING NEW TABLE AS changed_to"),
    "update": sql.SQL("REFERENCING NEW TABLE AS changed_to OLD TABLE AS changed_from"),
    "delete": sql.SQL("REFERENCING OLD TABLE AS changed_from"),
}

# The table and everything that inherits from it: a statement on a partition fires only the partition's own triggers.
_FAMILY = """
WITH RECURSIVE family (id) AS (
    SELECT to_regclass(%s)::oid
     UNION
    SELECT inhrelid FROM pg_inherits JOIN family ON inhparent = family.id
)
SELECT space.nspname, class.relname, class.oid
  FROM family
  JOIN pg_class AS class ON class.oid = family.id
  JOIN pg_namespace AS space ON space.oid = class.relnamespace
 ORDER BY class.oid
"""

_IN_PLACE = """
SELECT trigger.tgrelid, trigger.tgname
  FROM pg_trigger AS trigger
  JOIN pg_proc AS function ON function.oid = trigger.tgfoid
  JOIN unnest(%s::text[], %s::text[]) AS wanted (name, body)
    ON function.proname = wanted.name AND function.prosrc = wanted.body
 WHERE trigger.tgenabled = 'A'
"""

_MADE_BEFORE = """
SELECT function.proname, function.prosrc, obj_description(function.oid, 'pg_proc')
  FROM pg_proc AS function JOIN pg_namespace AS space ON space.oid = function.pronamespace
 WHERE space.nspname = %s AND function.proname = ANY(%s) AND pg_has_role(function.proowner, 'USAGE')
"""

_USED = """
SELECT space.nspname, class.relname, trigger.tgname
  FROM pg_trigger AS trigger
  JOIN pg_class AS class ON class.oid = trigger.tgrelid
  JOIN pg_namespace AS space ON space.oid = class.relnamespace
 WHERE trigger.tgfoid = to_regprocedure(%s)
"""


@dataclass(frozen=True, slots=True)
class Watch:
    """The objects of one captured table."""

    migration: AnyMigration
    table: CapturedTable
    side: Side
    schema: str

    def name(self, event: str) -> str:
        """Of a trigger or function: readable, unique, at most 63 bytes."""
        parts = (self.migration.name, self.side.value, self.table.table, event)
        digest = blake2b("\x00".join(parts).encode(), digest_size=4).hexdigest()
        readable = f"capture_{event}_{self.migration.name}_{self.table.table}".encode()[:54]
        return f"{readable.decode(errors='ignore')}_{digest}"

    def function(self, event: str) -> str:
        return self.name(_TRUNCATE if event == _TRUNCATE else "change")

    def functions(self) -> dict[str, str]:
        """Body by function name."""
        body = sql.SQL(_BODY).format(
            setting=sql.Literal(SETTING),
            dirty=sql.Identifier(self.schema, "migration_ops_dirtykey"),
            column=sql.Identifier("key" if self.table.keys else "row"),
            migration=sql.Literal(self.migration.name),
            side=sql.Literal(self.side.value),
            after=self._changed("changed_to"),
            before=self._changed("changed_from"),
            channel=sql.Literal(CHANNEL),
            lost=sql.Literal(f"{quoted(self.schema)}.{LOST}"),
        )
        refusal = sql.SQL(_TRUNCATE_BODY).format(
            migration=sql.Literal(self.migration.name), may_truncate=sql.Literal(guards.MAY_TRUNCATE)
        )
        return {self.function("insert"): _text(body), self.function(_TRUNCATE): _text(refusal)}

    def _changed(self, transition_table: str) -> sql.Composable:
        """Selects rows or keys of what is in this transition table; both are declared in code, never input."""
        if not self.table.keys:
            return sql.SQL(f"SELECT {self.table.row} FROM {transition_table}")
        schema = quoted(self.schema)
        return sql.SQL(f"SELECT DISTINCT * FROM ({self.table.keys}) AS keys").format(
            changed=sql.SQL(transition_table), schema=sql.SQL(schema)
        )

    def family(self) -> list[tuple[str, str, int]]:
        """Schema, name and oid of the table and all that inherit from it.

        Raises:
            UnusableInput: there is no such table.
        """
        found = rows(_FAMILY, [quoted(self.table.table)])
        if not found:
            raise UnusableInput(
                said("There is no table %(table)s, whose changes are to be captured.", table=self.table.table)
            )
        return [(schema, name, oid) for schema, name, oid in found]

    def gaps(self) -> list[tuple[str, str, str]]:
        """Schema, table and event of every trigger that is missing, disabled or not the one this version makes."""
        wanted = self.functions()
        in_place = set(rows(_IN_PLACE, [list(wanted), list(wanted.values())]))
        return [
            (schema, name, event)
            for schema, name, oid in self.family()
            for event in (*EVENTS, _TRUNCATE)
            if (oid, self.name(event)) not in in_place
        ]

    def install(self) -> bool:
        gaps = self.gaps()
        if not gaps:
            return False
        for name, body in self.functions().items():
            self._make(name, body)
        for schema, table, event in gaps:
            _run(
                sql.SQL(
                    "CREATE OR REPLACE TRIGGER {trigger} {when} {event} ON {table} {transition}"
                    " FOR EACH STATEMENT EXECUTE FUNCTION {function}()"
                ).format(
                    trigger=sql.Identifier(self.name(event)),
                    when=sql.SQL("BEFORE" if event == _TRUNCATE else "AFTER"),
                    event=sql.SQL(event.upper()),
                    table=sql.Identifier(schema, table),
                    transition=_TRANSITION_TABLES.get(event, sql.SQL("")),
                    function=sql.Identifier(self.schema, self.function(event)),
                )
            )
            _run(
                sql.SQL("ALTER TABLE ONLY {} ENABLE ALWAYS TRIGGER {}").format(
                    sql.Identifier(schema, table), sql.Identifier(self.name(event))
                )
            )
        return True

    def _make(self, name: str, body: str) -> None:
        function = sql.Identifier(self.schema, name)
        _run(sql.SQL(_FUNCTION).format(function=function, body=sql.Literal(body)))
        _run(sql.SQL("REVOKE ALL ON FUNCTION {}() FROM PUBLIC").format(function))
        _run(sql.SQL("COMMENT ON FUNCTION {}() IS {}").format(function, sql.Literal(_signed(body))))

    def renew(self) -> None:
        """Replace the functions that an earlier version of this product made, and nobody has changed since.

        They noticed everything until this moment, so there is no gap; one of which that is not known stays as it is.
        """
        wanted = self.functions()
        for name, body, comment in rows(_MADE_BEFORE, [self.schema, list(wanted)]):
            if body != wanted[name] and comment == _signed(body):
                self._make(name, wanted[name])

    def remove(self) -> None:
        for name in self.functions():
            function = sql.Identifier(self.schema, name)
            for schema, table, trigger in rows(_USED, [f"{quoted(self.schema)}.{quoted(name)}()"]):
                _run(sql.SQL("DROP TRIGGER {} ON {}").format(sql.Identifier(trigger), sql.Identifier(schema, table)))
            _run(sql.SQL("DROP FUNCTION IF EXISTS {}()").format(function))


def _signed(body: str) -> str:
    """What stands beside a function, so that a later version knows whether it is as it was made."""
    return f"migration_ops {blake2b(body.encode(), digest_size=16).hexdigest()}"


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _text(query: sql.Composable) -> str:
    return query.as_string(connection.connection)


def rows(query: str, parameters: Iterable[Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, list(parameters) or None)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows


def _run(query: sql.Composable) -> None:
    with connection.cursor() as cursor:
        cursor.execute(_text(query))
