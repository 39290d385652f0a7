"""The flag of a migration says what the router says, and past the services it can only be lowered; it is all kept."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
import waffle
from django.contrib.auth.models import AnonymousUser, Group
from django.core.cache import cache
from django.core.management import call_command
from django.db import Error, IntegrityError, transaction
from django.test import RequestFactory

from migration_ops import history, state
from migration_ops.definition import AnyMigration, Side
from migration_ops.models import Flag
from migration_ops.rollout import control, routing
from migration_ops.rollout.control import Canaries
from migration_ops.stages import Stage
from tests.engine.syncing import go_to_live, run


@pytest.fixture
def half(ramp: AnyMigration) -> AnyMigration:
    control.set_percent(ramp, Decimal(50), actor="ann", reason="test", override=True)
    return ramp


def request_of(user: Any, address: str = "/") -> Any:
    request = RequestFactory().get(address)
    request.user = user
    return request


def verbs(migration: AnyMigration) -> list[str]:
    return [entry.verb for entry in history.entries(migration)]


def test_waffle_says_of_each_user_what_the_router_says(half: AnyMigration, people: Any) -> None:
    from_modern = [waffle.flag_is_active(request_of(people(f"p{number}")), half.name) for number in range(40)]
    assert 5 < sum(map(bool, from_modern)) < 35
    control.kill(half, actor="ann")
    assert not any(waffle.flag_is_active(request_of(user), half.name) for user in type(people("x")).objects.all())


def test_nothing_that_a_client_sends_switches_it(ramp: AnyMigration, people: Any, settings: Any) -> None:
    settings.WAFFLE_OVERRIDE = True  # a system check refuses it; the flag does not even look
    request = request_of(people(), f"/?{ramp.name}=1&dwft_{ramp.name}=1")
    request.COOKIES[f"dwf_{ramp.name}"] = "True"
    assert not waffle.flag_is_active(request, ramp.name)
    assert not waffle.flag_is_active(request_of(AnonymousUser()), ramp.name)


def test_no_cache_makes_it_say_what_was_true_once(half: AnyMigration, people: Any) -> None:
    users = [people(f"p{number}") for number in range(20)]
    before = [waffle.flag_is_active(request_of(user), half.name) for user in users]
    cache.clear()
    control.set_percent(half, Decimal(0), actor="ann")
    assert any(before)
    assert not any(waffle.flag_is_active(request_of(user), half.name) for user in users)


def test_it_shows_the_percentage(half: AnyMigration) -> None:
    assert Flag.objects.get(name=half.name).percent == 50
    control.rollback(half, actor="ann")
    assert Flag.objects.get(name=half.name).percent == 0


LOWERED: dict[str, Callable[[], object]] = {
    "command": lambda: call_command("waffle_flag", "notes", "--deactivate", stdout=StringIO()),
    "object": lambda: _saved(percent=Decimal(0)),
    "query": lambda: Flag.objects.filter(name="notes").update(percent=None),
    "SQL": lambda: run("UPDATE migration_ops_flag SET percent = 0 WHERE name = 'notes'"),
    "everyone": lambda: run("UPDATE migration_ops_flag SET everyone = false WHERE name = 'notes'"),
    "deleted": lambda: Flag.objects.filter(name="notes").delete(),
}


def _saved(**fields: Any) -> None:
    flag = Flag.objects.get(name="notes")
    for name, value in fields.items():
        setattr(flag, name, value)
    flag.save()


@pytest.mark.parametrize("how", LOWERED)
def test_lowered_past_the_services_it_counts_at_once_and_is_in_the_history(half: AnyMigration, how: str) -> None:
    before = state.read(half)
    LOWERED[how]()
    now = state.read(half)
    assert (now.percent, now.version, now.step) == (0, before.version + 1, before.step + 1)
    (entry, *_) = history.entries(half)
    assert entry.verb == "changed by SQL"
    assert (entry.evidence["before"]["percent"], entry.evidence["after"]["percent"]) == (50.0, 0.0)
    assert history.verify().ok


@pytest.mark.parametrize("how", LOWERED)
def test_lowered_at_live_it_takes_all_reads_back(shadow: AnyMigration, how: str) -> None:
    """There is no share that could be smaller."""
    go_to_live(shadow)
    control.hold(shadow, actor="ann")  # what a service does makes sure that there is a flag
    assert Flag.objects.get(name=shadow.name).percent == 100
    LOWERED[how]()
    assert routing.of_unit(shadow, "garden").side is Side.LEGACY
    now = state.read(shadow)
    assert (now.stage, now.percent, now.kill) == (Stage.LIVE, 100, True)
    changed = next(entry for entry in history.entries(shadow) if entry.verb == "changed by SQL")
    assert (changed.evidence["before"]["kill"], changed.evidence["after"]["kill"]) == (False, True)
    assert history.verify().ok


@pytest.mark.parametrize("how", ["command", "everyone", "deleted"])
def test_switched_off_or_gone_it_ends_the_share_of_canaries_too(ramp: AnyMigration, how: str) -> None:
    control.canary(ramp, Canaries(percent=Decimal(5)), actor="ann")
    LOWERED[how]()
    assert state.read(ramp).canary_percent == 0


def test_lowered_it_leaves_the_share_of_canaries(half: AnyMigration) -> None:
    control.canary(half, Canaries(percent=Decimal(5)), actor="ann")
    run("UPDATE migration_ops_flag SET percent = 1 WHERE name = 'notes'")
    now = state.read(half)
    assert (now.percent, now.canary_percent) == (1, 5)


def test_after_waffle_deactivated_it_our_services_go_on(half: AnyMigration) -> None:
    LOWERED["command"]()
    control.set_percent(half, Decimal(5), actor="ann", reason="test", override=True)
    flag = Flag.objects.get(name=half.name)
    assert (flag.percent, flag.everyone) == (5, None)


RAISED: dict[str, Callable[[], object]] = {
    "command": lambda: call_command("waffle_flag", "notes", "--percent", "80", stdout=StringIO()),
    "everyone": lambda: call_command("waffle_flag", "notes", "--everyone", stdout=StringIO()),
    "object": lambda: _saved(percent=Decimal(100)),
    "superusers": lambda: _saved(superusers=True),
    "staff": lambda: _saved(staff=True),
    "authenticated": lambda: _saved(authenticated=True),
    "testing": lambda: _saved(testing=True),
    "language": lambda: _saved(languages="ko"),
    "query": lambda: Flag.objects.filter(name="notes").update(percent=51),
    "SQL": lambda: run("UPDATE migration_ops_flag SET percent = 100 WHERE name = 'notes'"),
    "renamed": lambda: Flag.objects.filter(name="notes").update(name="other"),
    "usurped": lambda: (LOWERED["deleted"](), Flag.objects.create(name="notes", percent=100)),
}


@pytest.mark.parametrize("how", RAISED)
def test_raised_past_the_services_it_is_refused(half: AnyMigration, how: str) -> None:
    entries = len(verbs(half))
    with pytest.raises(Error, match="migration"), transaction.atomic():
        RAISED[how]()
    assert state.read(half).percent == 50
    assert Flag.objects.get(name="notes").percent == 50
    assert len(verbs(half)) == entries


def test_canaries_are_named_by_the_services_and_whoever_takes_one_away_is_in_the_history(
    ramp: AnyMigration, people: Any
) -> None:
    ann, ben = people("ann"), people("ben")
    control.canary(ramp, control.Canaries(users=(ann,)), actor="ann")
    flag = Flag.objects.get(name=ramp.name)
    with pytest.raises(IntegrityError, match="rollout canary"), transaction.atomic():
        flag.users.add(ben)
    with pytest.raises(IntegrityError, match="rollout canary"), transaction.atomic():
        flag.groups.add(Group.objects.create(name="all"))
    flag.users.remove(ann)
    (entry, *_) = history.entries(ramp)
    assert (entry.verb, entry.evidence) == ("canary removed", {"user": str(ann.pk)})


def test_a_feature_flag_is_decided_by_the_bucket_and_obeys_everyone(db: None, people: Any) -> None:
    flag = Flag.objects.create(name="confetti", percent=50)
    users = [people(f"p{number}") for number in range(40)]
    first, again = ([waffle.flag_is_active(request_of(user), "confetti") for user in users] for _ in range(2))
    assert first == again
    assert 5 < sum(map(bool, first)) < 35
    flag.everyone = False
    flag.save()
    assert not any(waffle.flag_is_active(request_of(user), "confetti") for user in users)
    assert not waffle.flag_is_active(request_of(users[0]), "no such flag")


@pytest.mark.parametrize("field", ["authenticated", "staff", "superusers"])
def test_a_feature_flag_names_users_by_what_they_are(db: None, people: Any, field: str) -> None:
    Flag.objects.create(name="confetti", **{field: True})
    user = people("someone", is_staff=True, is_superuser=True)
    assert waffle.flag_is_active(request_of(user), "confetti")
    assert not waffle.flag_is_active(request_of(AnonymousUser()), "confetti")


def test_a_feature_flag_names_users_and_groups(db: None, people: Any) -> None:
    flag = Flag.objects.create(name="confetti")
    ann, ben, cleo = people("ann"), people("ben"), people("cleo")
    flag.users.add(ann)
    group = Group.objects.create(name="testers")
    ben.groups.add(group)
    flag.groups.add(group)
    assert [bool(waffle.flag_is_active(request_of(user), "confetti")) for user in (ann, ben, cleo)] == [
        True,
        True,
        False,
    ]
