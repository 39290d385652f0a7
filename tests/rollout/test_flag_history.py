"""Whatever anybody does to the flag of a migration is refused, or in the history: each field, by each way."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.core.management import CommandError, call_command
from django.db import Error, transaction
from django.test import Client
from django.urls import reverse

from migration_ops import guards, history, state
from migration_ops.definition import AnyMigration
from migration_ops.models import Flag, MigrationState
from migration_ops.rollout import control
from tests.engine.syncing import rows, run, second_connection

THEN = datetime(2020, 1, 1, tzinfo=UTC)

VALUES: dict[str, tuple[object, ...]] = {
    "everyone": (True, False, None, False),
    "percent": (Decimal(5), Decimal(50), Decimal(3), None, Decimal(0)),
    "superusers": (True, False),
    "staff": (True, False),
    "authenticated": (True, False),
    "testing": (True, False),
    "rollout": (True, False),
    "languages": ("ko", ""),
    "note": ("for the boards", ""),
    "name": ("other",),
    "created": (THEN,),
    "modified": (THEN,),
}
"""What each field could be made, one after another; what is not refused for `everyone` brings 5 % down to 0 %."""


def _by_object(field: str, value: object) -> None:
    flag = Flag.objects.get(name="notes")
    setattr(flag, field, value)
    flag.save()


def _by_query(field: str, value: object) -> None:
    Flag.objects.filter(name="notes").update(**{field: value})


def _by_sql(field: str, value: object) -> None:
    run(f"UPDATE migration_ops_flag SET {field} = %s WHERE name = 'notes'", value)


def _as_a_service(field: str, value: object) -> None:
    """The setting that our services use, in a session of somebody else's."""
    with second_connection() as other:
        other.execute(f"SET LOCAL {guards.RECORDED} = 'yes'")
        other.execute(f"UPDATE migration_ops_flag SET {field} = %s WHERE name = 'notes'", [value])  # type: ignore[call-overload]


def _by_admin(field: str, value: object) -> None:
    flag = Flag.objects.get(name="notes")
    shown = {name: getattr(flag, name) for name in VALUES} | {field: value}
    said = {name: str(each) for name, each in shown.items() if each not in (None, False)}
    client = Client()
    get_user_model().objects.filter(email="root@example.org").delete()
    root = get_user_model().objects.create_superuser("root@example.org", "secret")
    client.force_login(root)
    client.post(reverse("admin:migration_ops_flag_change", args=[flag.pk]), said)


WAYS: dict[str, Callable[[str, object], object]] = {
    "object": _by_object,
    "query": _by_query,
    "SQL": _by_sql,
    "SQL that says it is a service": _as_a_service,
    "admin": _by_admin,
}


@pytest.fixture
def shown(ramp: AnyMigration) -> AnyMigration:
    """At 5 %, with a flag that shows it."""
    control.set_percent(ramp, Decimal(5), actor="ann", reason="test", override=True)
    return ramp


def flags() -> list[dict[str, Any]]:
    return list(Flag.objects.order_by("pk").values())


def serves(migration: AnyMigration) -> tuple[object, ...]:
    now = state.read(migration)
    return now.percent, now.kill, now.hold, now.named, now.canary_header


def changed_or_not(migration: AnyMigration, change: Callable[[], object]) -> None:
    """Run it; if it changed anything, the history must say so, and be whole."""
    before = flags(), serves(migration), rows("SELECT * FROM migration_ops_flag_users ORDER BY id")
    newest = history.verify().entries
    with suppress(Error, CommandError), transaction.atomic():
        change()
    after = flags(), serves(migration), rows("SELECT * FROM migration_ops_flag_users ORDER BY id")
    verified = history.verify()
    assert verified.ok
    assert (verified.entries > newest) == (before != after)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("field", VALUES)
def test_a_field_that_was_changed_is_in_the_history(shown: AnyMigration, field: str, way: str) -> None:
    for value in VALUES[field]:
        changed_or_not(shown, lambda value=value: WAYS[way](field, value))


def test_every_field_of_the_flag_is_tried() -> None:
    assert set(VALUES) == {field.name for field in Flag._meta.concrete_fields} - {"id"}


COMMANDS: list[tuple[str, ...]] = [
    ("waffle_flag", "notes", "--deactivate"),
    ("waffle_flag", "notes", "--deactivate", "--testing"),
    ("waffle_flag", "notes", "--everyone"),
    ("waffle_flag", "notes", "--percent", "3"),
    ("waffle_flag", "notes", "--percent", "80"),
    ("waffle_flag", "notes", "--superusers"),
    ("waffle_flag", "notes", "--staff"),
    ("waffle_flag", "notes", "--authenticated"),
    ("waffle_flag", "notes", "--rollout"),
    ("waffle_flag", "notes", "--testing"),
    ("waffle_flag", "notes", "--group", "testers"),
    ("waffle_flag", "notes", "--user", "ann@example.com", "--append"),
    ("waffle_delete", "--flags", "notes"),
]


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_what_wafflecommands_did_is_in_the_history(
    shown: AnyMigration, people: Any, arguments: tuple[str, ...]
) -> None:
    people("ann")
    Group.objects.create(name="testers")
    changed_or_not(shown, lambda: call_command(*arguments, stdout=StringIO()))


def test_who_deactivates_a_flag_at_0_is_named_with_what_was_changed(shown: AnyMigration) -> None:
    control.rollback(shown, actor="ann")
    call_command("waffle_flag", "notes", "--deactivate", stdout=StringIO())
    (entry, *_) = history.entries(shown)
    ((role,),) = rows("SELECT session_user::text")
    assert (entry.actor, entry.verb, entry.from_stage, entry.to_stage) == (
        f"database role {role}",
        "flag changed",
        "ramp",
        "ramp",
    )
    assert entry.evidence["flag"]["everyone"] == [None, False]


def test_a_flag_that_is_made_and_one_that_is_deleted_are_in_the_history(ramp: AnyMigration) -> None:
    flag = Flag.objects.create(name=ramp.name)
    flag.delete()
    assert [entry.verb for entry in history.entries(ramp)[:2]] == ["flag removed", "flag added"]


def test_what_a_service_does_has_one_entry(ramp: AnyMigration, people: Any) -> None:
    """The state, the flag and the names change with it, and say nothing of their own."""
    group = Group.objects.create(name="testers")
    before = history.verify().entries
    control.canary(ramp, control.Canaries(users=(people("ann"),), groups=(group,)), actor="ann")
    control.set_percent(ramp, Decimal(5), actor="ann", reason="test", override=True)
    control.canary_off(ramp, actor="ann")
    control.rollback(ramp, actor="ann")
    assert [entry.verb for entry in history.entries(ramp)[:4]] == ["rollback", "canary", "set", "canary"]
    assert history.verify().entries == before + 4


def test_what_was_lowered_by_sql_has_one_entry_and_the_flag_says_nothing_of_its_own(shown: AnyMigration) -> None:
    before = history.verify().entries
    run("UPDATE migration_ops_migrationstate SET percent = 4, version = version + 1")
    assert Flag.objects.get(name="notes").percent == 4
    assert history.verify().entries == before + 1


STEALTHY: dict[str, str] = {
    "kill switch off": "UPDATE migration_ops_migrationstate SET kill = NOT kill",
    "hold": "UPDATE migration_ops_migrationstate SET hold = NOT hold",
    "percentage": "UPDATE migration_ops_migrationstate SET percent = 100, version = version + 1",
    "header": "UPDATE migration_ops_migrationstate SET canary_header = 'X-Mine'",
    "flag": "UPDATE migration_ops_flag SET percent = 100",
    "name": "INSERT INTO migration_ops_flag_users (flag_id, user_id)"
    " SELECT flag.id, users.id FROM migration_ops_flag AS flag, users",
}


@pytest.mark.parametrize("beside", ["", "a savepoint", "an entry about something else", "the setting taken back"])
@pytest.mark.parametrize("what", STEALTHY)
def test_no_setting_of_a_session_makes_a_change_invisible(
    shown: AnyMigration, people: Any, what: str, beside: str
) -> None:
    people("ann")
    before = history.verify().entries
    extra = 0
    with second_connection() as other:
        other.execute(f"SET LOCAL {guards.RECORDED} = 'yes'")
        if beside == "an entry about something else":
            extra = 1
            other.execute(
                "INSERT INTO migration_ops_historyentry (migration, at, actor, verb, from_stage, to_stage, reason,"
                " evidence, previous_hash, hash)"
                " VALUES ('notes', clock_timestamp(), 'sql', 'note', '', '', '', '{}', '', '')"
            )
        if beside == "a savepoint":
            other.execute("SAVEPOINT here")
        other.execute(STEALTHY[what])
        if beside == "the setting taken back":
            other.execute(f"SET LOCAL {guards.RECORDED} = ''")
    assert history.verify().entries >= before + 1 + extra
    assert history.verify().ok


def test_the_flags_of_migrations_are_not_truncated(shown: AnyMigration) -> None:
    with pytest.raises(Error, match="TRUNCATE is refused"), transaction.atomic():
        run(f"SET LOCAL {guards.MAY_TRUNCATE} = ''; TRUNCATE migration_ops_flag CASCADE")
    assert Flag.objects.filter(name="notes").exists()
    assert MigrationState.objects.filter(name="notes").exists()
