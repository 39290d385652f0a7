"""A decision asks one row. Whether the flag names canaries stands there, and is true whoever changes the names."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO
from typing import Any

import psycopg
import pytest
from django.contrib.auth.models import Group
from django.core.management import call_command
from django.db import Error, IntegrityError, connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from migration_ops import guards, history, state
from migration_ops.definition import AnyMigration, Side
from migration_ops.models import Flag, MigrationState
from migration_ops.rollout import control, routing
from migration_ops.rollout.control import Canaries
from tests.engine.syncing import rows, run, second_connection
from tests.engine.waiting import InThread, eventually

NAME = (
    "INSERT INTO migration_ops_flag_users (flag_id, user_id)"
    " SELECT flag.id, %s FROM migration_ops_flag AS flag WHERE flag.name = 'notes'"
)
REMOVE = "DELETE FROM migration_ops_flag_users WHERE user_id = %s"
AS_THE_SERVICES = f"SET LOCAL {guards.RECORDED} = 'yes'"
IN_PRODUCTION = f"SET LOCAL {guards.MAY_TRUNCATE} = ''"


def says(migration: AnyMigration) -> bool:
    """What the row says: to the router, and to everybody else."""
    named = state.dial(migration).named
    assert state.read(migration).named is named
    return named


@pytest.fixture
def ann(people: Any) -> Any:
    return people("ann")


@pytest.fixture
def ben(people: Any) -> Any:
    return people("ben")


@pytest.fixture
def testers(db: None) -> Group:
    return Group.objects.create(name="testers")


@pytest.fixture
def naming_ann(ramp: AnyMigration, ann: Any) -> AnyMigration:
    control.canary(ramp, Canaries(users=(ann,)), actor="ann")
    return ramp


def test_a_decision_asks_one_row_of_one_table(ramp: AnyMigration) -> None:
    Flag.objects.create(name=ramp.name)
    with CaptureQueriesContext(connection) as asked:
        routing.of_unit(ramp, "garden")
    (statement,) = (query["sql"] for query in asked)
    assert "migration_ops_flag" not in statement


def test_the_first_name_counts_at_once_and_the_last_one_until_it_is_gone(
    ramp: AnyMigration, ann: Any, ben: Any, testers: Group
) -> None:
    assert not says(ramp)
    control.canary(ramp, Canaries(groups=(testers,)), actor="ann")
    assert says(ramp)
    control.canary(ramp, Canaries(users=(ann, ben)), actor="ann")
    assert routing.of_unit(ramp, str(ann.pk)).side is Side.MODERN
    flag = Flag.objects.get(name=ramp.name)
    for still, remove in (
        (True, lambda: flag.users.remove(ann)),
        (True, lambda: flag.groups.clear()),
        (False, lambda: flag.users.clear()),
    ):
        remove()
        assert says(ramp) is still


def _deactivated() -> None:
    """django-waffle's command takes all names away before it adds one, and that is refused."""
    with pytest.raises(IntegrityError, match="rollout canary"):
        call_command("waffle_flag", "notes", "--user", "ben@example.com", stdout=StringIO())


def _flag_first() -> None:
    with transaction.atomic():
        run("DELETE FROM migration_ops_flag")
        run("DELETE FROM migration_ops_flag_users")


REMOVED: dict[str, Callable[[Any], object]] = {
    "relation": lambda ann: Flag.objects.get(name="notes").users.remove(ann),
    "other side of the relation": lambda ann: ann.flag_set.clear(),
    "query": lambda ann: Flag.users.through.objects.filter(user=ann).delete(),
    "SQL": lambda ann: run(REMOVE, ann.pk),
    "waffle": lambda ann: _deactivated(),
    "user deleted": lambda ann: ann.delete(),
    "flag deleted": lambda ann: Flag.objects.filter(name="notes").delete(),
    "flag deleted before its names": lambda ann: _flag_first(),
}


@pytest.mark.parametrize("how", REMOVED)
def test_whoever_removes_the_last_user_the_row_says_so(naming_ann: AnyMigration, ann: Any, ben: Any, how: str) -> None:
    assert says(naming_ann)
    REMOVED[how](ann)
    assert not rows("SELECT FROM migration_ops_flag_users")
    assert not says(naming_ann)


def test_a_group_that_is_deleted_in_the_administration_is_named_no_more(
    ramp: AnyMigration, testers: Group, client: Client, django_user_model: Any
) -> None:
    control.canary(ramp, Canaries(groups=(testers,)), actor="ann")
    client.force_login(django_user_model.objects.create_superuser("root@example.org", "secret"))
    client.post(reverse("admin:auth_group_delete", args=[testers.pk]), {"post": "yes"})
    assert not Group.objects.filter(pk=testers.pk).exists()
    assert not says(ramp)


def test_names_that_a_flag_had_before_there_was_a_migration_count(notes: AnyMigration, ann: Any) -> None:
    Flag.objects.create(name=notes.name).users.add(ann)
    MigrationState.objects.create(name=notes.name)
    assert says(notes)


def test_names_that_were_there_before_the_flag_count(ramp: AnyMigration, ann: Any) -> None:
    with transaction.atomic():
        run("INSERT INTO migration_ops_flag_users (flag_id, user_id) VALUES (777, %s)", ann.pk)
        Flag.objects.create(pk=777, name=ramp.name)
    assert says(ramp)


def test_names_come_and_go_with_the_name_of_the_flag(naming_ann: AnyMigration) -> None:
    for name in ("other", naming_ann.name):
        with transaction.atomic():
            run(AS_THE_SERVICES)
            run("UPDATE migration_ops_flag SET name = %s", name)
        assert says(naming_ann) is (name == naming_ann.name)


@pytest.mark.parametrize("written", [True, False])
def test_what_somebody_writes_there_is_not_believed(ramp: AnyMigration, ann: Any, written: bool) -> None:
    if not written:
        control.canary(ramp, Canaries(users=(ann,)), actor="ann")
    MigrationState.objects.update(named=written)
    assert says(ramp) is not written


def test_no_name_goes_to_another_flag_past_the_services(naming_ann: AnyMigration) -> None:
    other = Flag.objects.create(name="confetti")
    with pytest.raises(IntegrityError, match="rollout canary"):
        run("UPDATE migration_ops_flag_users SET flag_id = %s", other.pk)
    with transaction.atomic():
        run(AS_THE_SERVICES)
        run("UPDATE migration_ops_flag_users SET flag_id = %s", other.pk)
    assert not says(naming_ann)


@pytest.mark.parametrize(
    "what", ["migration_ops_flag_users", "migration_ops_flag_groups", "migration_ops_flag CASCADE"]
)
def test_names_are_not_truncated_while_a_migration_has_any(
    ramp: AnyMigration, ann: Any, testers: Group, what: str
) -> None:
    Flag.objects.create(name="confetti").users.add(ann)
    with transaction.atomic():
        run(f"{IN_PRODUCTION}; TRUNCATE {what}")
    control.canary(ramp, Canaries(users=(ann,), groups=(testers,)), actor="ann")
    with pytest.raises(Error, match="TRUNCATE is refused"), transaction.atomic():
        run(f"{IN_PRODUCTION}; TRUNCATE {what}")
    assert says(ramp)


@pytest.mark.parametrize("first", ["one comes", "one goes"])
def test_of_two_who_change_the_names_at_once_the_second_one_sees_what_the_first_one_did(
    naming_ann: AnyMigration, ann: Any, ben: Any, first: str
) -> None:
    """Neither sees the other's row before it is committed; the one name that is left must count all the same."""
    comes, goes = (NAME, ben.pk), (REMOVE, ann.pk)
    mine, other = (comes, goes) if first == "one comes" else (goes, comes)
    with second_connection() as one:
        one.execute(AS_THE_SERVICES)
        one.execute(mine[0], [mine[1]])

        def follow() -> None:
            with transaction.atomic():
                run(AS_THE_SERVICES)
                run(*other)

        second = InThread(follow)
        _wait_until_somebody_waits_for(one)
    second.outcome()
    assert rows("SELECT user_id FROM migration_ops_flag_users") == [(ben.pk,)]
    assert says(naming_ann)


def test_who_removes_a_name_and_who_kills_do_not_wait_for_each_other_in_a_ring(
    naming_ann: AnyMigration, ann: Any
) -> None:
    with second_connection() as killing:
        killing.execute(AS_THE_SERVICES)
        killing.execute("UPDATE migration_ops_migrationstate SET kill = true, version = version + 1")
        removing = InThread(lambda: run(REMOVE, ann.pk))
        _wait_until_somebody_waits_for(killing)
        killing.execute(
            "INSERT INTO migration_ops_historyentry (migration, at, actor, verb, from_stage, to_stage, reason,"
            " evidence, previous_hash, hash) SELECT name, clock_timestamp(), 'sql', 'kill', '', '', '',"
            " jsonb_build_object('version', version), '', '' FROM migration_ops_migrationstate"
        )
    removing.outcome()
    assert [entry.verb for entry in history.entries(naming_ann)[:2]] == ["canary removed", "kill"]
    assert (state.read(naming_ann).kill, says(naming_ann)) == (True, False)


def test_who_makes_the_flag_does_not_wait_for_who_kills(ramp: AnyMigration) -> None:
    """The kill makes it as well, and would wait for this one."""
    with second_connection() as killing:
        killing.execute("UPDATE migration_ops_migrationstate SET kill = true, version = version + 1")
        with transaction.atomic():
            run("SET LOCAL lock_timeout = '2s'")
            Flag.objects.create(name=ramp.name)
    assert state.read(ramp).kill


def _wait_until_somebody_waits_for(one: psycopg.Connection[Any]) -> None:
    with second_connection() as observer:
        observer.autocommit = True
        waiting = "SELECT FROM pg_locks WHERE NOT granted AND %s = ANY(pg_blocking_pids(pid))"
        eventually(lambda: observer.execute(waiting, [one.info.backend_pid]).fetchone() is not None)


def test_what_was_changed_without_the_triggers_is_seen_when_they_are_put_back(naming_ann: AnyMigration) -> None:
    run("ALTER TABLE migration_ops_flag_users DISABLE TRIGGER USER")
    run("DELETE FROM migration_ops_flag_users")
    guards.install()
    assert not says(naming_ann)


def test_who_is_named_already_counts_after_the_upgrade(naming_ann: AnyMigration, ann: Any) -> None:
    call_command("migrate", "migration_ops", "0017", verbosity=0)
    call_command("migrate", "migration_ops", verbosity=0)
    assert says(naming_ann)
    assert routing.of_unit(naming_ann, str(ann.pk)).side is Side.MODERN
