"""What nobody wrote into the history is written there at the commit, whoever did it and by whatever way.

A service writes its own entry, which names the version of the state that came of it. Whether there is one of this very
transaction is looked up in the history; no setting of a session is asked.
"""

from __future__ import annotations

from migration_ops.guards.trigger import ANY, CANARY_GROUPS, CANARY_USERS, FLAG, HISTORY, ROW, STATE, UPDATE, Trigger

# An entry that is visible here and was written by a transaction that has not ended was written by this one, or in a
# savepoint of it. `xmin` lacks the high half: half a round ahead of this transaction means one of the round before.
_MINE = """CASE WHEN entry.at >= transaction_timestamp() THEN (
        SELECT CASE WHEN writer.number - here.number < 1::bigint << 31
                    THEN pg_xact_status(writer.number::text::xid8) = 'in progress' END
          FROM (SELECT pg_current_xact_id()::text::bigint AS number) AS here,
               LATERAL (SELECT (here.number >> 32 << 32) + entry.xmin::text::bigint AS number) AS writer) END"""


def _mine(name: str) -> str:
    """SQL: the entries that this transaction wrote for this migration."""
    return f"{HISTORY} AS entry WHERE entry.migration = {name} AND {_MINE}"


def by_a_service(name: str) -> str:
    """SQL: whether a service wrote down what this transaction does to this migration."""
    return (
        f"EXISTS (SELECT FROM {_mine(name)} AND entry.evidence -> 'version' ="
        f" (SELECT to_jsonb(state.version) FROM {STATE} AS state WHERE state.name = {name}))"
    )


def entry(name: str, verb: str, evidence: str) -> str:
    """SQL statement: an entry for the migration of this name, if there is one, that leaves the stage where it is."""
    return f"""
    INSERT INTO {HISTORY}
           (migration, at, actor, verb, from_stage, to_stage, reason, evidence, previous_hash, hash)
    SELECT state.name, clock_timestamp(), 'database role ' || session_user, {verb}, state.stage, state.stage,
           '', {evidence}, '', ''
      FROM {STATE} AS state WHERE state.name = {name};"""


_STATE_RECORDED = f"""
BEGIN
    IF (NEW.stage, NEW.percent, NEW.hold, NEW.kill, NEW.canary_header, NEW.canary_cookie, NEW.canary_percent)
       IS NOT DISTINCT FROM
       (OLD.stage, OLD.percent, OLD.hold, OLD.kill, OLD.canary_header, OLD.canary_cookie, OLD.canary_percent)
       OR {by_a_service("NEW.name")} THEN
        RETURN NULL;
    END IF;
    INSERT INTO {HISTORY}
           (migration, at, actor, verb, from_stage, to_stage, reason, evidence, previous_hash, hash)
    VALUES (NEW.name, clock_timestamp(), 'database role ' || session_user, 'changed by SQL', OLD.stage, NEW.stage,
            '', jsonb_build_object('before', to_jsonb(OLD), 'after', to_jsonb(NEW)), '', '');
    PERFORM pg_notify('migration_ops_stage', NEW.name);
    RETURN NULL;
END
"""

_DONE = "CASE TG_OP WHEN 'INSERT' THEN 'added' WHEN 'DELETE' THEN 'removed' ELSE 'changed' END"

# A flag that only followed the state says nothing new: what the state did is in the history by now.
_FLAG_RECORDED = f"""
DECLARE
    face text;
    changed jsonb;
BEGIN
    SELECT jsonb_object_agg(field, jsonb_build_array(one.value, other.value)) INTO changed
      FROM jsonb_each(CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) END) AS one (field, value)
      FULL JOIN jsonb_each(CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) END) AS other (field, value) USING (field)
     WHERE one.value IS DISTINCT FROM other.value;
    IF changed IS NULL THEN
        RETURN NULL;
    END IF;
    FOR face IN SELECT state.name FROM {STATE} AS state WHERE state.name IN (OLD.name, NEW.name) LOOP
        IF {by_a_service("face")} THEN
            CONTINUE;
        ELSIF TG_OP = 'UPDATE' AND NEW.everyone IS NULL AND changed - ARRAY['percent', 'everyone', 'modified'] = '{{}}'
          AND EXISTS (
            SELECT FROM {_mine("face")} AND entry.evidence -> 'after' -> 'percent' = to_jsonb(NEW.percent)
               AND entry.evidence -> 'before' -> 'percent' <> to_jsonb(NEW.percent)) THEN
            CONTINUE;
        END IF;
        {entry("face", f"'flag ' || {_DONE}", "jsonb_build_object('flag', changed)")}
    END LOOP;
    RETURN NULL;
END
"""


def _names_recorded(what: str) -> str:
    """Somebody who is named or no more; whoever was taken away past the services is in the history already."""
    return f"""
DECLARE
    face text;
    who text := CASE TG_OP WHEN 'INSERT' THEN NEW.{what}_id::text ELSE OLD.{what}_id::text END;
BEGIN
    FOR face IN SELECT flag.name FROM {FLAG} AS flag WHERE flag.id IN (OLD.flag_id, NEW.flag_id) LOOP
        IF NOT {by_a_service("face")} AND NOT EXISTS (
               SELECT FROM {_mine("face")} AND entry.verb = 'canary removed'
                  AND entry.evidence ->> '{what}' = who AND TG_OP = 'DELETE') THEN
            {entry("face", f"'canary ' || {_DONE}", f"jsonb_build_object('{what}', who)")}
        END IF;
    END LOOP;
    RETURN NULL;
END
"""


def triggers() -> tuple[Trigger, ...]:
    """What is written at the commit."""
    return (
        Trigger("migration_ops_state_record", STATE, ROW | UPDATE, _STATE_RECORDED, at_commit=True),
        Trigger("migration_ops_flag_record", FLAG, ANY, _FLAG_RECORDED, at_commit=True),
        Trigger("migration_ops_canary_users_record", CANARY_USERS, ANY, _names_recorded("user"), at_commit=True),
        Trigger("migration_ops_canary_groups_record", CANARY_GROUPS, ANY, _names_recorded("group"), at_commit=True),
    )
