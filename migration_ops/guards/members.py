"""Who joins or leaves a group that a flag of a migration names is in the history, and is counted.

Joining is nobody's business but that of the users' administration, and is never refused here. Whether more people are
named by it than may be is decided where reads are served, by what is counted here.
"""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group

from migration_ops.guards.record import entry
from migration_ops.guards.trigger import (
    ANY,
    CANARY_GROUPS,
    CANARY_USERS,
    EMPTY,
    FLAG,
    STATE,
    Trigger,
    no_canaries_truncated,
)


class _Membership:
    """Where this installation keeps who is in which group."""

    def __init__(self) -> None:
        users: Any = get_user_model()
        groups = users._meta.get_field("groups")
        self.users = users._meta.db_table
        self.groups = Group._meta.db_table
        self.table = groups.m2m_db_table()
        self.user = groups.m2m_column_name()
        self.group = groups.m2m_reverse_name()


def named_people(flag: str) -> str:
    """SQL: how many people this flag names, by themselves or by a group of theirs."""
    kept = _Membership()
    return f"""(SELECT count(*) FROM (
        SELECT canary.user_id FROM {CANARY_USERS} AS canary WHERE canary.flag_id = {flag}
        UNION SELECT member.{kept.user} FROM {CANARY_GROUPS} AS canary
          JOIN {kept.table} AS member ON member.{kept.group} = canary.group_id
         WHERE canary.flag_id = {flag}) AS named)"""


def people() -> str:
    """SQL: how many people there are."""
    return f"(SELECT count(*) FROM {_Membership().users})"


def _recorded(kept: _Membership) -> str:
    """First the state, as everybody does who changes names: of two who change them at once the second one waits, and
    sees what the first one did. The group may be gone by now; then it is in the history that it is named no more."""
    evidence = f"""jsonb_build_object(
            'group', (SELECT name FROM {kept.groups} WHERE id = belonged), 'user', who)"""
    return f"""
DECLARE
    face record;
    belonged bigint;
    who text;
    what text;
BEGIN
    PERFORM FROM {STATE} ORDER BY name FOR NO KEY UPDATE;
    FOREACH what IN ARRAY CASE TG_OP WHEN 'INSERT' THEN '{{joined}}' WHEN 'DELETE' THEN '{{left}}'
                          ELSE '{{left,joined}}' END::text[] LOOP
        belonged := CASE what WHEN 'left' THEN OLD.{kept.group} ELSE NEW.{kept.group} END;
        who := CASE what WHEN 'left' THEN OLD.{kept.user} ELSE NEW.{kept.user} END;
        FOR face IN SELECT flag.name, flag.id FROM {FLAG} AS flag JOIN {CANARY_GROUPS} AS canary
                      ON canary.flag_id = flag.id WHERE canary.group_id = belonged LOOP
            {entry("face.name", "'canary ' || what", evidence)}
            UPDATE {STATE} AS state SET named = named WHERE state.name = face.name
               AND to_jsonb(state) -> 'named_people' <> to_jsonb({named_people("face.id")});
        END LOOP;
    END LOOP;
    RETURN NULL;
END
"""


def triggers() -> tuple[Trigger, ...]:
    """What watches the groups of the users."""
    kept = _Membership()
    members = f"{kept.table} AS member JOIN {CANARY_GROUPS} AS canary ON canary.group_id = member.{kept.group}"
    return (
        Trigger("migration_ops_members_record", kept.table, ANY, _recorded(kept), at_commit=True),
        Trigger("migration_ops_members_no_truncate", kept.table, EMPTY, no_canaries_truncated(members)),
    )
