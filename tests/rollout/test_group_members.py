"""Who joins a group that is named as a canary is in the history, however that was done, and the limit holds."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.core.management import call_command
from django.db import Error, transaction
from django.test import Client
from django.urls import reverse

from migration_ops import guards, history, state
from migration_ops.definition import AnyMigration, Side
from migration_ops.exceptions import Refused
from migration_ops.rollout import canaries, control, routing
from migration_ops.rollout.control import Canaries
from tests.engine.staff import member, press, room
from tests.engine.syncing import command, rows, run, second_connection
from tests.engine.waiting import InThread, eventually

LIMIT = 10
"""`CANARY_PEOPLE_LEAST`: of as few people as there are here, `CANARY_SHARE_MOST` would be less than one."""

JOIN = "INSERT INTO users_groups (user_id, group_id) VALUES (%s, %s)"
LEAVE = "DELETE FROM users_groups WHERE user_id = %s AND group_id = %s"


@pytest.fixture
def testers(ramp: AnyMigration) -> Group:
    """A group that is named, with nobody in it."""
    group = Group.objects.create(name="testers")
    control.canary(ramp, Canaries(groups=(group,)), actor="ann")
    return group


@pytest.fixture
def ann(people: Any) -> Any:
    return people("ann")


def said(migration: AnyMigration, *, since: int = 0) -> list[tuple[str, dict[str, Any]]]:
    """What the history says of names, oldest first."""
    found = history.entries(migration).filter(pk__gt=since, verb__startswith="canary ")
    return [(entry.verb, entry.evidence) for entry in reversed(found)]


def _save_in_admin(user: Any, *groups: Group) -> None:
    client = Client()
    get_user_model().objects.filter(email="root@example.org").delete()
    client.force_login(get_user_model().objects.create_superuser("root@example.org", "secret"))
    address = reverse("admin:habits_user_change", args=[user.pk])
    form = client.get(address).context["adminform"].form
    sent = {name: value for name, value in form.initial.items() if value not in (None, False)}
    answer = client.post(address, {**sent, "groups": [group.pk for group in groups]})
    assert answer.status_code == 302, answer.context["errors"]


def _as_a_service(sql: str, *parameters: Any) -> None:
    with second_connection() as other:
        other.execute(f"SET LOCAL {guards.RECORDED} = 'yes'")
        other.execute(sql, parameters)  # type: ignore[call-overload]


def _printed(*arguments: str) -> str:
    out = StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


WAYS: dict[str, tuple[Callable[[Any, Group], object], Callable[[Any, Group], object]]] = {
    "user": (lambda ann, group: ann.groups.add(group), lambda ann, group: ann.groups.remove(group)),
    "group": (lambda ann, group: group.user_set.add(ann), lambda ann, group: group.user_set.clear()),
    "set": (lambda ann, group: ann.groups.set([group]), lambda ann, group: ann.groups.set([])),
    "admin": (_save_in_admin, lambda ann, group: _save_in_admin(ann)),
    "SQL": (lambda ann, group: run(JOIN, ann.pk, group.pk), lambda ann, group: run(LEAVE, ann.pk, group.pk)),
    "SQL that says it is a service": (
        lambda ann, group: _as_a_service(JOIN, ann.pk, group.pk),
        lambda ann, group: _as_a_service(LEAVE, ann.pk, group.pk),
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_who_joins_and_who_leaves_is_in_the_history(ramp: AnyMigration, testers: Group, ann: Any, way: str) -> None:
    join, leave = WAYS[way]
    join(ann, testers)
    assert routing.of_unit(ramp, str(ann.pk)).side is Side.MODERN
    assert state.read(ramp).named_people == 1
    leave(ann, testers)
    assert routing.of_unit(ramp, str(ann.pk)).side is Side.LEGACY
    assert state.read(ramp).named_people == 0
    who = {"group": "testers", "user": str(ann.pk)}
    assert said(ramp) == [("canary joined", who), ("canary left", who)]
    assert history.verify().ok


def test_who_goes_from_one_group_to_another_left_and_joined(ramp: AnyMigration, testers: Group, ann: Any) -> None:
    others = Group.objects.create(name="others")
    ann.groups.add(others)
    assert said(ramp) == []
    run("UPDATE users_groups SET group_id = %s", testers.pk)
    assert said(ramp) == [("canary joined", {"group": "testers", "user": str(ann.pk)})]
    run("UPDATE users_groups SET group_id = %s", others.pk)
    assert said(ramp)[1:] == [("canary left", {"group": "testers", "user": str(ann.pk)})]
    assert state.read(ramp).named_people == 0


def test_an_account_that_is_deleted_left(ramp: AnyMigration, testers: Group, ann: Any) -> None:
    ann.groups.add(testers)
    ann.delete()
    assert [verb for verb, _ in said(ramp)] == ["canary joined", "canary left"]
    assert state.read(ramp).named_people == 0


def test_a_group_that_is_deleted_is_named_no_more_and_nobody_is_counted(
    ramp: AnyMigration, testers: Group, ann: Any
) -> None:
    ann.groups.add(testers)
    key = testers.pk
    testers.delete()
    assert said(ramp)[-1] == ("canary removed", {"group": key})
    assert (state.read(ramp).named, state.read(ramp).named_people) == (False, 0)


def test_members_are_not_truncated_while_their_group_is_named(ramp: AnyMigration, testers: Group, ann: Any) -> None:
    ann.groups.add(testers)
    with pytest.raises(Error, match="TRUNCATE is refused"), transaction.atomic():
        run(f"SET LOCAL {guards.MAY_TRUNCATE} = ''; TRUNCATE users_groups")
    assert rows("SELECT FROM users_groups")


def test_more_people_than_may_be_are_not_named(ramp: AnyMigration, people: Any) -> None:
    group = Group.objects.create(name="crowd")
    crowd = [people(f"p{number}") for number in range(LIMIT + 1)]
    group.user_set.add(*crowd)
    for dry_run in (True, False):
        with pytest.raises(Refused, match=r"11 people would be canaries by name, and at most 10 can be"):
            control.canary(ramp, Canaries(groups=(group,)), actor="ann", dry_run=dry_run)
    assert command("rollout", "canary", "--group", "crowd")[0] == 4
    assert not state.read(ramp).named
    control.canary(ramp, Canaries(users=tuple(crowd[:LIMIT])), actor="ann")
    with pytest.raises(Refused, match="11 people"):
        control.canary(ramp, Canaries(users=(crowd[LIMIT],)), actor="ann")
    assert state.read(ramp).named_people == LIMIT


def test_whoever_is_named_twice_counts_once(ramp: AnyMigration, people: Any) -> None:
    crowd = [people(f"p{number}") for number in range(LIMIT)]
    for name in ("one", "two"):
        group = Group.objects.create(name=name)
        group.user_set.add(*crowd)
        control.canary(ramp, Canaries(groups=(group,), users=tuple(crowd)), actor="ann")
    assert state.read(ramp).named_people == LIMIT


def test_a_share_of_many_people_is_more_than_the_least(settings: Any) -> None:
    assert [canaries.most(people) for people in (0, 10, 219, 220, 1_000)] == [10, 10, 10, 11, 50]
    settings.MIGRATION_OPS = {"CANARY_SHARE_MOST": 10, "CANARY_PEOPLE_LEAST": 2}
    assert [canaries.most(people) for people in (0, 30, 1_000)] == [2, 3, 100]


def test_beyond_the_limit_joining_goes_through_and_no_group_counts(
    ramp: AnyMigration, testers: Group, ann: Any, people: Any
) -> None:
    control.canary(ramp, Canaries(users=(ann,)), actor="ann")
    crowd = [people(f"p{number}") for number in range(LIMIT)]
    testers.user_set.add(*crowd[:-1])
    assert routing.of_unit(ramp, str(crowd[0].pk)).side is Side.MODERN
    crowd[-1].groups.add(testers)
    assert testers.user_set.count() == LIMIT
    assert {routing.of_unit(ramp, str(user.pk)).side for user in crowd} == {Side.LEGACY}
    assert routing.of_unit(ramp, str(ann.pk)).side is Side.MODERN
    told = command("rollout", "status")[1]["canary_people"]
    assert told == {"named": LIMIT + 1, "most": LIMIT, "too_many": True}
    sentence = "11 people are canaries by name, and at most 10 can be: no group counts."
    assert sentence in " ".join(_printed("rollout", "status").split())
    page = member("operators").get(room(ramp)).content.decode()
    assert "11, more than 10: no group counts" in page
    assert press(member("operators"), ramp, "canary", users="p0@example.com").status_code == 409
    crowd[0].groups.clear()
    assert routing.of_unit(ramp, str(crowd[1].pk)).side is Side.MODERN


def test_nobody_says_that_there_are_fewer(ramp: AnyMigration, testers: Group, ann: Any) -> None:
    ann.groups.add(testers)
    for more in ("", ", version = version + 1"):
        run(f"UPDATE migration_ops_migrationstate SET named_people = 0, people = 1000000{more}")
        assert (state.read(ramp).named_people, state.read(ramp).people) == (1, get_user_model().objects.count())


def test_of_two_who_join_at_once_both_are_counted(ramp: AnyMigration, testers: Group, people: Any) -> None:
    """Neither sees the other before it is committed."""
    ann, ben = people("ann"), people("ben")
    with second_connection() as one:
        one.execute("SET CONSTRAINTS ALL IMMEDIATE")
        one.execute(JOIN, [ann.pk, testers.pk])
        second = InThread(lambda: run(JOIN, ben.pk, testers.pk))
        with second_connection() as observer:
            observer.autocommit = True
            waiting = "SELECT FROM pg_locks WHERE NOT granted AND %s = ANY(pg_blocking_pids(pid))"
            eventually(lambda: observer.execute(waiting, [one.info.backend_pid]).fetchone() is not None)
    second.outcome()
    assert state.read(ramp).named_people == 2
    assert len(said(ramp)) == 2


def test_who_joins_while_the_group_is_being_named_is_counted(ramp: AnyMigration, ann: Any) -> None:
    group = Group.objects.create(name="testers")
    with second_connection() as joining:
        joining.execute(JOIN, [ann.pk, group.pk])
        control.canary(ramp, Canaries(groups=(group,)), actor="ann")
        assert state.read(ramp).named_people == 0
    assert state.read(ramp).named_people == 1
    assert [verb for verb, _ in said(ramp)] == ["canary joined"]
