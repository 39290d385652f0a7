"""What the database itself refuses: illegal stages, flags that let in more people, changes of what is there for good.

Functions and triggers, made from `TRANSITIONS` and kept in step with this version by `install` after every `migrate`.
All triggers are `ENABLE ALWAYS`, so that `session_replication_role = replica` does not switch them off. Whoever owns
the tables can still remove them; `verify_history` finds what was done meanwhile, and `out_of_step` that they are gone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connection, transaction

from migration_ops.locks import lock_id
from migration_ops.stages import TRANSITIONS, Stage

MAY_TRUNCATE = "migration_ops.may_truncate"
"""A session in which this setting is `yes` may empty the guarded tables: how a test suite starts over."""

RECORDED = "migration_ops.recorded"
"""A transaction in which this setting is `yes` appends to the history itself what it does to a stage."""

_STATE = "migration_ops_migrationstate"
_HISTORY = "migration_ops_historyentry"
_HEAD = "migration_ops_historyhead"
_IMAGES = "migration_ops_beforeimage"
_FLAG = "migration_ops_flag"
_CANARY_USERS = "migration_ops_flag_users"
_CANARY_GROUPS = "migration_ops_flag_groups"

_ROW, _BEFORE, _INSERT, _DELETE, _UPDATE, _TRUNCATE = 1, 2, 4, 8, 16, 32

ENTRY_HASH = """encode(sha256(convert_to(jsonb_build_array(
        {entry}.id, {entry}.migration, to_char({entry}.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
        {entry}.actor, {entry}.verb, {entry}.from_stage, {entry}.to_stage, {entry}.reason, {entry}.evidence,
        {entry}.previous_hash)::text, 'UTF8')), 'hex')"""
"""SQL: the hash of a history entry over all its fields and the hash before it; jsonb renders them in one way only."""


@dataclass(frozen=True, slots=True)
class Trigger:
    """One trigger function and where it fires; `kind` is PostgreSQL's `pg_trigger.tgtype`."""

    name: str
    table: str
    kind: int
    body: str

    @property
    def _when(self) -> str:
        words = {_INSERT: "INSERT", _DELETE: "DELETE", _UPDATE: "UPDATE", _TRUNCATE: "TRUNCATE"}
        events = " OR ".join(word for bit, word in words.items() if self.kind & bit)
        return f"{'BEFORE' if self.kind & _BEFORE else 'AFTER'} {events}"

    @property
    def function_sql(self) -> str:
        return f"CREATE OR REPLACE FUNCTION {self.name}() RETURNS trigger LANGUAGE plpgsql AS $guard${self.body}$guard$"

    @property
    def trigger_sql(self) -> str:
        each = "ROW" if self.kind & _ROW else "STATEMENT"
        return (
            f"CREATE OR REPLACE TRIGGER {self.name} {self._when} ON {self.table}"
            f" FOR EACH {each} EXECUTE FUNCTION {self.name}();"
            f" ALTER TABLE {self.table} ENABLE ALWAYS TRIGGER {self.name}"
        )


def _legal_steps() -> str:
    return ", ".join(f"('{step.source.value}', '{step.target.value}')" for step in TRANSITIONS)


def _names_any(flag: str) -> str:
    users, groups = (
        f"EXISTS (SELECT FROM {table} AS canary WHERE canary.flag_id = {flag})"
        for table in (_CANARY_USERS, _CANARY_GROUPS)
    )
    return f"({users} OR {groups})"


def _stage_guard() -> str:
    return f"""
BEGIN
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'The state of migration % is never deleted.', OLD.name USING ERRCODE = 'check_violation';
    ELSIF TG_OP = 'INSERT' THEN
        IF NEW.stage <> '{Stage.OFF.value}' OR NEW.version <> 0 THEN
            RAISE EXCEPTION 'Migration % begins at stage {Stage.OFF.value} and version 0, not at % and %.',
                NEW.name, NEW.stage, NEW.version USING ERRCODE = 'check_violation';
        END IF;
    ELSIF NEW.name <> OLD.name THEN
        RAISE EXCEPTION 'Migration % is never renamed.', OLD.name USING ERRCODE = 'check_violation';
    ELSIF NEW.stage <> OLD.stage THEN
        IF (OLD.stage, NEW.stage) NOT IN ({_legal_steps()}) THEN
            RAISE EXCEPTION 'There is no step from % to % for migration %.', OLD.stage, NEW.stage, NEW.name
                USING ERRCODE = 'check_violation';
        ELSIF NEW.version <> OLD.version + 1 THEN
            RAISE EXCEPTION 'The version of migration % grows by one with each step; it was %, not %.',
                NEW.name, OLD.version, NEW.version USING ERRCODE = 'check_violation';
        END IF;
    ELSIF NEW.version NOT IN (OLD.version, OLD.version + 1) THEN
        RAISE EXCEPTION 'The version of migration % grows by one; it was %, not %.',
            NEW.name, OLD.version, NEW.version USING ERRCODE = 'check_violation';
    END IF;
    IF TG_OP <> 'DELETE' THEN
        NEW.named := EXISTS (SELECT FROM {_FLAG} AS flag WHERE flag.name = NEW.name AND {_names_any("flag.id")});
    END IF;
    IF TG_OP = 'UPDATE' THEN
        NEW.step := OLD.step;
        NEW.stepped_at := OLD.stepped_at;
        IF (NEW.stage, NEW.percent, NEW.kill) IS DISTINCT FROM (OLD.stage, OLD.percent, OLD.kill) THEN
            NEW.step := OLD.step + 1;
            NEW.stepped_at := clock_timestamp();
        END IF;
    END IF;
    RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
END
"""


_STAGE_RECORD = f"""
BEGIN
    IF coalesce(current_setting('{RECORDED}', true), '') = 'yes' THEN
        RETURN NULL;
    END IF;
    IF (NEW.stage, NEW.percent, NEW.hold, NEW.kill, NEW.canary_header, NEW.canary_cookie, NEW.canary_percent)
       IS DISTINCT FROM
       (OLD.stage, OLD.percent, OLD.hold, OLD.kill, OLD.canary_header, OLD.canary_cookie, OLD.canary_percent) THEN
        INSERT INTO migration_ops_historyentry
               (migration, at, actor, verb, from_stage, to_stage, reason, evidence, previous_hash, hash)
        VALUES (NEW.name, clock_timestamp(), 'database role ' || session_user, 'changed by SQL', OLD.stage, NEW.stage,
                '', jsonb_build_object('before', to_jsonb(OLD), 'after', to_jsonb(NEW)), '', '');
        PERFORM pg_notify('migration_ops_stage', NEW.name);
    END IF;
    RETURN NULL;
END
"""

# The flag that is named like a migration shows its percentage.
_STATE_FACE = """
BEGIN
    UPDATE migration_ops_flag SET percent = NEW.percent, everyone = NULL, modified = clock_timestamp()
     WHERE name = NEW.name AND (percent, everyone) IS DISTINCT FROM (NEW.percent, NULL::boolean);
    RETURN NULL;
END
"""

# Past our services a flag of a migration can only take away: what lets more people read modern goes through gates.
_FLAG_GUARD = f"""
BEGIN
    IF pg_trigger_depth() > 1 OR coalesce(current_setting('{RECORDED}', true), '') = 'yes' THEN
        RETURN NEW;
    END IF;
    IF TG_OP = 'UPDATE' AND NEW.name <> OLD.name AND EXISTS (
           SELECT FROM migration_ops_migrationstate AS state WHERE state.name IN (OLD.name, NEW.name)) THEN
        RAISE EXCEPTION 'The flag of a migration is never renamed, and no other flag takes its name.'
            USING ERRCODE = 'check_violation';
    END IF;
    IF NOT EXISTS (SELECT FROM migration_ops_migrationstate AS state WHERE state.name = NEW.name) THEN
        RETURN NEW;
    END IF;
    IF NEW.everyone OR NEW.testing OR NEW.superusers OR NEW.staff OR NEW.authenticated OR NEW.rollout
       OR NEW.languages <> '' OR coalesce(NEW.percent, 0) > (
           SELECT state.percent FROM migration_ops_migrationstate AS state WHERE state.name = NEW.name) THEN
        RAISE EXCEPTION 'Flag % belongs to a migration: it can be lowered here, and nothing else.', NEW.name
            USING ERRCODE = 'check_violation', HINT = 'Use `manage.py rollout advance`, `set` or `canary`.';
    END IF;
    RETURN NEW;
END
"""

_FLAG_LOWERED = f"""
DECLARE
    lowered numeric := 0;
BEGIN
    IF pg_trigger_depth() > 1 OR coalesce(current_setting('{RECORDED}', true), '') = 'yes' THEN
        RETURN NULL;
    END IF;
    IF TG_OP = 'UPDATE' AND NEW.everyone IS NULL THEN
        lowered := coalesce(NEW.percent, 0);
    END IF;
    UPDATE migration_ops_migrationstate SET percent = lowered, version = version + 1
     WHERE name = OLD.name AND percent > lowered;
    RETURN NULL;
END
"""


def _canaries_guard(what: str) -> str:
    return f"""
DECLARE
    migration text;
BEGIN
    SELECT flag.name INTO migration FROM migration_ops_flag AS flag
      JOIN migration_ops_migrationstate AS state USING (name)
     WHERE flag.id IN (OLD.flag_id, NEW.flag_id)
       FOR NO KEY UPDATE OF state; -- first the state, then the history: in the order in which a kill takes them
    IF migration IS NULL OR coalesce(current_setting('{RECORDED}', true), '') = 'yes' THEN
        RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
    ELSIF TG_OP <> 'DELETE' THEN
        RAISE EXCEPTION 'Canaries of migration % are named with `manage.py rollout canary`.', migration
            USING ERRCODE = 'check_violation';
    END IF;
    INSERT INTO migration_ops_historyentry
           (migration, at, actor, verb, from_stage, to_stage, reason, evidence, previous_hash, hash)
    SELECT name, clock_timestamp(), 'database role ' || session_user, 'canary removed', stage, stage,
           '', jsonb_build_object('{what}', OLD.{what}_id), '', ''
      FROM migration_ops_migrationstate WHERE name = migration;
    RETURN OLD;
END
"""


# Whoever changes what the flag names touches the state, whose guard looks again, at what is committed by then: two who
# change the names at once wait for each other at that row, and the second one sees what the first one did.
_CANARIES_NAMED = f"""
BEGIN
    UPDATE {_STATE} AS state SET named = state.named
      FROM {_FLAG} AS flag WHERE flag.name = state.name AND flag.id IN (OLD.flag_id, NEW.flag_id);
    RETURN NULL;
END
"""

# Names may have been there before their flag was, and may be there a moment longer. Whoever makes a flag without any
# does not touch the state: a kill that makes the same one would wait for it, and it for the kill.
_FLAG_NAMED = f"""
BEGIN
    IF (NEW.id, NEW.name) IS DISTINCT FROM (OLD.id, OLD.name) AND (TG_OP <> 'INSERT' OR {_names_any("NEW.id")}) THEN
        UPDATE {_STATE} SET named = named WHERE name IN (OLD.name, NEW.name);
    END IF;
    RETURN NULL;
END
"""


def _no_canaries_truncated(table: str) -> str:
    return f"""
BEGIN
    IF coalesce(current_setting('{MAY_TRUNCATE}', true), '') <> 'yes' AND EXISTS (
           SELECT FROM {table} AS canary JOIN {_FLAG} AS flag ON flag.id = canary.flag_id
             JOIN {_STATE} AS state USING (name)) THEN
        RAISE EXCEPTION 'There are canaries of migrations in %: TRUNCATE is refused.', TG_TABLE_NAME
            USING ERRCODE = 'restrict_violation', HINT = 'Use `manage.py rollout canary --off`.';
    END IF;
    RETURN NULL;
END
"""


_HISTORY_CHAIN = f"""
DECLARE
    head migration_ops_historyhead%ROWTYPE;
BEGIN
    INSERT INTO migration_ops_historyhead (id, entries, hash) VALUES (1, 0, '') ON CONFLICT (id) DO NOTHING;
    SELECT * INTO head FROM migration_ops_historyhead WHERE id = 1 FOR UPDATE;
    NEW.id := head.entries + 1;
    NEW.previous_hash := head.hash;
    NEW.hash := {ENTRY_HASH.format(entry="NEW")};
    UPDATE migration_ops_historyhead SET entries = NEW.id, hash = NEW.hash WHERE id = 1;
    RETURN NEW;
END
"""

_APPEND_ONLY = """
BEGIN
    RAISE EXCEPTION 'What is in % was written for good: % is refused.', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'restrict_violation';
END
"""

_HEAD_GUARD = """
BEGIN
    IF pg_trigger_depth() < 2 THEN
        RAISE EXCEPTION 'The end of the history is kept by its trigger alone: % is refused.', TG_OP
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
END
"""


def _no_truncate(table: str) -> str:
    return f"""
BEGIN
    IF coalesce(current_setting('{MAY_TRUNCATE}', true), '') <> 'yes' AND EXISTS (SELECT FROM {table}) THEN
        RAISE EXCEPTION 'What is in % was written for good: TRUNCATE is refused.', TG_TABLE_NAME
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END
"""


_CHANGE = _ROW | _BEFORE | _UPDATE | _DELETE
_ANY = _ROW | _INSERT | _UPDATE | _DELETE
_EMPTY = _BEFORE | _TRUNCATE


def triggers() -> tuple[Trigger, ...]:
    """Every guard of this version."""
    return (
        Trigger("migration_ops_state_guard", _STATE, _CHANGE | _INSERT, _stage_guard()),
        Trigger("migration_ops_state_record", _STATE, _ROW | _UPDATE, _STAGE_RECORD),
        Trigger("migration_ops_state_face", _STATE, _ROW | _INSERT | _UPDATE, _STATE_FACE),
        Trigger("migration_ops_flag_guard", _FLAG, _ROW | _BEFORE | _INSERT | _UPDATE, _FLAG_GUARD),
        Trigger("migration_ops_flag_lowered", _FLAG, _ROW | _UPDATE | _DELETE, _FLAG_LOWERED),
        Trigger("migration_ops_canary_users", _CANARY_USERS, _CHANGE | _INSERT, _canaries_guard("user")),
        Trigger("migration_ops_canary_groups", _CANARY_GROUPS, _CHANGE | _INSERT, _canaries_guard("group")),
        Trigger("migration_ops_canary_users_named", _CANARY_USERS, _ANY, _CANARIES_NAMED),
        Trigger("migration_ops_canary_groups_named", _CANARY_GROUPS, _ANY, _CANARIES_NAMED),
        Trigger("migration_ops_flag_named", _FLAG, _ANY, _FLAG_NAMED),
        Trigger("migration_ops_canary_users_no_truncate", _CANARY_USERS, _EMPTY, _no_canaries_truncated(_CANARY_USERS)),
        Trigger(
            "migration_ops_canary_groups_no_truncate", _CANARY_GROUPS, _EMPTY, _no_canaries_truncated(_CANARY_GROUPS)
        ),
        Trigger("migration_ops_state_no_truncate", _STATE, _EMPTY, _no_truncate(_STATE)),
        Trigger("migration_ops_history_chain", _HISTORY, _ROW | _BEFORE | _INSERT, _HISTORY_CHAIN),
        Trigger("migration_ops_history_append_only", _HISTORY, _CHANGE, _APPEND_ONLY),
        Trigger("migration_ops_history_no_truncate", _HISTORY, _EMPTY, _no_truncate(_HISTORY)),
        Trigger("migration_ops_head_guard", _HEAD, _CHANGE | _INSERT, _HEAD_GUARD),
        Trigger("migration_ops_head_no_truncate", _HEAD, _EMPTY, _no_truncate(_HEAD)),
        Trigger("migration_ops_image_append_only", _IMAGES, _CHANGE, _APPEND_ONLY),
        Trigger("migration_ops_image_no_truncate", _IMAGES, _EMPTY, _no_truncate(_IMAGES)),
    )


def install() -> list[str]:
    """Create or mend what is missing, switched off or of another version; the names of what was changed."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [lock_id("guards")])
        stale = _stale()
        for guard in stale:
            cursor.execute(guard.function_sql)
            cursor.execute(guard.trigger_sql)
        if stale:  # what they keep may have changed while they were not there
            cursor.execute(f"UPDATE {_STATE} SET named = named")
    return [guard.name for guard in stale]


def out_of_step() -> list[str]:
    """Names of guards that are missing, switched off or of another version; empty when all is well."""
    return [guard.name for guard in _stale()]


def after_migrate(*, using: str, **_: Any) -> None:
    """Receiver of `post_migrate`; does nothing where the tables are not there (yet, or any more)."""
    tables = {guard.table for guard in triggers()}
    if using == DEFAULT_DB_ALIAS and tables <= set(connection.introspection.table_names()):
        install()


def _stale() -> list[Trigger]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT tgname::text, relname::text, tgtype::int, prosrc FROM pg_trigger"
            " JOIN pg_class ON pg_class.oid = tgrelid JOIN pg_proc ON pg_proc.oid = tgfoid"
            " WHERE tgenabled = 'A' AND tgqual IS NULL AND tgrelid = ANY(%s::regclass[])",
            [sorted({guard.table for guard in triggers()})],
        )
        there = set(cursor.fetchall())
    return [guard for guard in triggers() if (guard.name, guard.table, guard.kind, guard.body) not in there]
