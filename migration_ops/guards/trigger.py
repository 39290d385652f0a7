"""What a guard is: a trigger function of ours and the table it watches."""

from __future__ import annotations

from dataclasses import dataclass

MAY_TRUNCATE = "migration_ops.may_truncate"
"""A session in which this setting is `yes` may empty the guarded tables: how a test suite starts over."""

RECORDED = "migration_ops.recorded"
"""A transaction in which this setting is `yes` does what is for the services alone. What it does is in the history all
the same: `record` looks at the commit whether it wrote that itself."""

STATE = "migration_ops_migrationstate"
HISTORY = "migration_ops_historyentry"
HEAD = "migration_ops_historyhead"
IMAGES = "migration_ops_beforeimage"
FLAG = "migration_ops_flag"
CANARY_USERS = "migration_ops_flag_users"
CANARY_GROUPS = "migration_ops_flag_groups"

ROW, BEFORE, INSERT, DELETE, UPDATE, TRUNCATE = 1, 2, 4, 8, 16, 32

CHANGE = ROW | BEFORE | UPDATE | DELETE
ANY = ROW | INSERT | UPDATE | DELETE
EMPTY = BEFORE | TRUNCATE

FOR_GOOD = "What is in % was written for good"
"""Why a table is not emptied; see `no_truncate`."""


@dataclass(frozen=True, slots=True)
class Trigger:
    """One trigger function and where it fires.

    Attributes:
        kind: PostgreSQL's `pg_trigger.tgtype`.
        at_commit: it fires when the transaction commits, and sees then what the transaction did in all.
    """

    name: str
    table: str
    kind: int
    body: str
    at_commit: bool = False

    @property
    def _when(self) -> str:
        words = {INSERT: "INSERT", DELETE: "DELETE", UPDATE: "UPDATE", TRUNCATE: "TRUNCATE"}
        events = " OR ".join(word for bit, word in words.items() if self.kind & bit)
        return f"{'BEFORE' if self.kind & BEFORE else 'AFTER'} {events}"

    @property
    def function_sql(self) -> str:
        return f"CREATE OR REPLACE FUNCTION {self.name}() RETURNS trigger LANGUAGE plpgsql AS $guard${self.body}$guard$"

    @property
    def trigger_sql(self) -> str:
        each = "ROW" if self.kind & ROW else "STATEMENT"
        where = f"{self.name} {self._when} ON {self.table}"
        made = f"CREATE OR REPLACE TRIGGER {where}"
        if self.at_commit:  # a constraint trigger cannot be replaced
            made = (
                f"DROP TRIGGER IF EXISTS {self.name} ON {self.table};"
                f" CREATE CONSTRAINT TRIGGER {where} DEFERRABLE INITIALLY DEFERRED"
            )
        return (
            f"{made} FOR EACH {each} EXECUTE FUNCTION {self.name}();"
            f" ALTER TABLE {self.table} ENABLE ALWAYS TRIGGER {self.name}"
        )


def no_truncate(rows: str, why: str, *, hint: str = "") -> str:
    """The body of a trigger that refuses to empty a table in which something is left.

    Args:
        rows: SQL, what follows `SELECT FROM`: those that may not go.
        why: what to say of the table, whose name stands for `%`.
        hint: what to do instead.
    """
    advice = f", HINT = '{hint}'" if hint else ""
    return f"""
BEGIN
    IF coalesce(current_setting('{MAY_TRUNCATE}', true), '') <> 'yes' AND EXISTS (SELECT FROM {rows}) THEN
        RAISE EXCEPTION '{why}: TRUNCATE is refused.', TG_TABLE_NAME
            USING ERRCODE = 'restrict_violation'{advice};
    END IF;
    RETURN NULL;
END
"""


def no_canaries_truncated(canaries: str) -> str:
    """As `no_truncate`, for a table by which flags of migrations name people.

    Args:
        canaries: SQL, what follows `SELECT FROM`; the rows that name a flag are called `canary`.
    """
    return no_truncate(
        f"{canaries} JOIN {FLAG} AS flag ON flag.id = canary.flag_id JOIN {STATE} AS state USING (name)",
        "There are canaries of migrations in %",
        hint="Use `manage.py rollout canary --off`.",
    )
