"""The row that says where a migration stands: legal steps alone, and what it counts by itself."""

from __future__ import annotations

from migration_ops.guards import flag, members
from migration_ops.guards.trigger import CHANGE, EMPTY, FLAG, FOR_GOOD, INSERT, STATE, Trigger, no_truncate
from migration_ops.stages import TRANSITIONS, Stage


def _legal_steps() -> str:
    return ", ".join(f"('{step.source.value}', '{step.target.value}')" for step in TRANSITIONS)


def _stage_guard() -> str:
    return f"""
DECLARE
    face record;
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
    -- Looking up and counting names takes its time: a kill, which moves the version, waits for no table of people.
    IF TG_OP = 'INSERT' OR (TG_OP = 'UPDATE' AND NEW.version = OLD.version) THEN
        SELECT * INTO face FROM {FLAG} AS flag WHERE flag.name = NEW.name;
        NEW.named := {flag.names_any("face.id")};
        IF to_jsonb(NEW) ? 'named_people' THEN
            NEW.named_people := {members.named_people("face.id")};
            NEW.people := CASE WHEN NEW.named_people > 0 THEN {members.people()} ELSE 0 END;
        END IF;
    ELSIF TG_OP = 'UPDATE' THEN
        NEW.named := OLD.named;
        IF to_jsonb(NEW) ? 'named_people' THEN
            NEW.named_people := OLD.named_people;
            NEW.people := OLD.people;
        END IF;
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


def triggers() -> tuple[Trigger, ...]:
    """What guards the state."""
    return (
        Trigger("migration_ops_state_guard", STATE, CHANGE | INSERT, _stage_guard()),
        Trigger("migration_ops_state_no_truncate", STATE, EMPTY, no_truncate(STATE, FOR_GOOD)),
    )
