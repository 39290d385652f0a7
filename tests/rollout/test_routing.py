"""Who is served from where: the order of the reasons, and that nothing a client sends decides unless it may."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import AnonymousUser, Group
from django.test import RequestFactory
from hypothesis import given
from hypothesis import strategies as st

from migration_ops import state
from migration_ops.definition import AnyMigration, Side
from migration_ops.models import Flag, MigrationState
from migration_ops.rollout import buckets, control, routing
from migration_ops.rollout.control import Canaries
from migration_ops.rollout.routing import Decision, Reason
from migration_ops.web.middleware import RolloutMiddleware, signed
from tests.engine.syncing import run

IDS = [str(UUID(int=number * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128)) for number in range(100_000)]


@pytest.mark.parametrize("percent", ["0.5", "5", "20", "33.33", "50", "99.5"])
def test_of_a_hundred_thousand_ids_the_share_is_exact_to_half_a_point(percent: str) -> None:
    within = sum(buckets.is_within(Decimal(percent), "boards", unit) for unit in IDS)
    assert abs(within / len(IDS) * 100 - float(percent)) < 0.5


def test_nobody_at_0_and_everybody_at_100() -> None:
    assert not any(buckets.is_within(Decimal(0), "boards", unit) for unit in IDS)
    assert all(buckets.is_within(Decimal(100), "boards", unit) for unit in IDS)


@given(st.text(), st.decimals(0, 100, places=2), st.decimals(0, 100, places=2))
def test_who_is_within_a_percentage_is_within_every_larger_one(unit: str, one: Decimal, other: Decimal) -> None:
    less, more = sorted((one, other))
    assert buckets.is_within(more, "boards", unit) or not buckets.is_within(less, "boards", unit)


def test_another_migration_begins_with_other_units() -> None:
    first = [{unit for unit in IDS[:10_000] if buckets.is_within(Decimal(5), salt, unit)} for salt in ("a", "b")]
    assert len(first[0] & first[1]) < 60  # 25 are to be expected of 500


def decided(migration: AnyMigration, user: Any, *, unit: str | None = None, **sent: Any) -> Decision:
    """What the router decides within a request of this user that sends these headers and cookies."""
    cookies = sent.pop("cookies", {})
    request = RequestFactory().get("/", headers=sent)
    request.user = user
    request.COOKIES.update(cookies)
    found: list[Decision] = []
    asked = str(user.pk) if unit is None else unit

    def answer(request: Any) -> Any:
        found.append(routing.of_unit(migration, asked))

    RolloutMiddleware(answer)(request)
    return found[0]


LEGACY = (Side.LEGACY, Reason.BUCKET)


def said(decision: Decision) -> tuple[Side, Reason]:
    return decision.side, decision.reason


@pytest.fixture
def asking(ramp: AnyMigration) -> AnyMigration:
    control.canary(ramp, Canaries(header="X-Modern", cookie="modern"), actor="ann")
    return ramp


def test_staff_may_ask_by_header_for_either_store(asking: AnyMigration, people: Any) -> None:
    staff = people(is_staff=True)
    assert said(decided(asking, staff)) == LEGACY
    assert said(decided(asking, staff, **{"X-Modern": "modern"})) == (Side.MODERN, Reason.HEADER)
    control.set_percent(asking, Decimal(100), actor="ann", reason="test", override=True)
    assert said(decided(asking, staff, **{"X-Modern": "legacy"})) == (Side.LEGACY, Reason.HEADER)


def test_a_header_that_names_no_store_asks_for_nothing(asking: AnyMigration, people: Any) -> None:
    assert said(decided(asking, people(is_staff=True), **{"X-Modern": "1"})) == LEGACY


@pytest.mark.parametrize("who", [{}, {"is_staff": True, "is_active": False}])
def test_only_active_staff_may_ask_by_header(asking: AnyMigration, people: Any, who: dict[str, bool]) -> None:
    assert said(decided(asking, people(**who), **{"X-Modern": "modern"})) == LEGACY


def test_a_cookie_counts_if_we_signed_it_for_this_very_user(asking: AnyMigration, people: Any) -> None:
    ann, ben = people("ann"), people("ben")
    request = RequestFactory().get("/")
    request.user = ann
    cookie = signed(request, Side.MODERN)
    assert said(decided(asking, ann, cookies={"modern": cookie})) == (Side.MODERN, Reason.COOKIE)
    for forged in (cookie[:-1] + ("A" if cookie[-1] != "A" else "B"), "modern", '["modern"]', "", "é"):
        assert said(decided(asking, ann, cookies={"modern": forged})) == LEGACY
    assert said(decided(asking, ben, cookies={"modern": cookie})) == LEGACY
    assert said(decided(asking, AnonymousUser(), unit=str(ann.pk), cookies={"modern": cookie})) == LEGACY
    assert said(decided(asking, people("cleo", is_staff=True), cookies={"modern": "modern"}))[1] is Reason.COOKIE


def test_a_header_that_nobody_chose_is_none(ramp: AnyMigration, people: Any) -> None:
    assert said(decided(ramp, people(is_staff=True), **{"X-Modern": "modern"})) == LEGACY


def test_whom_the_flag_names_alone_or_by_a_group_reads_modern_and_nobody_else(ramp: AnyMigration, people: Any) -> None:
    ann, ben, cleo = people("ann"), people("ben"), people("cleo")
    testers = Group.objects.create(name="testers")
    ben.groups.add(testers)
    control.canary(ramp, Canaries(users=(ann,), groups=(testers,)), actor="ann")
    assert said(decided(ramp, ann)) == (Side.MODERN, Reason.USER)
    assert said(decided(ramp, ben)) == (Side.MODERN, Reason.GROUP)
    assert said(decided(ramp, cleo)) == LEGACY
    assert said(routing.of_unit(ramp, "no user at all")) == LEGACY


def test_a_share_of_canaries_reads_modern_beside_the_plan(ramp: AnyMigration) -> None:
    control.canary(ramp, Canaries(percent=Decimal(5)), actor="ann")
    reasons = Counter(said(routing.of_unit(ramp, unit)) for unit in IDS[:300])
    assert set(reasons) == {LEGACY, (Side.MODERN, Reason.CANARY)}


def test_kill_comes_before_everything_but_the_pin(asking: AnyMigration, people: Any, settings: Any) -> None:
    staff = people(is_staff=True)
    control.kill(asking, actor="ann")
    assert said(decided(asking, staff, **{"X-Modern": "modern"})) == (Side.LEGACY, Reason.KILL)
    settings.DATA_BACKEND = "modern"
    assert said(decided(asking, staff)) == (Side.MODERN, Reason.PIN)


def test_before_the_ramp_no_canary_counts(asking: AnyMigration, people: Any) -> None:
    run("UPDATE migration_ops_migrationstate SET stage = 'shadow', version = version + 1")
    assert said(decided(asking, people(is_staff=True), **{"X-Modern": "modern"})) == (Side.LEGACY, Reason.STAGE)


def test_within_a_request_it_is_decided_once(ramp: AnyMigration, people: Any) -> None:
    """A page that is put together of several reads does not change stores half-way."""
    user = people()
    request = RequestFactory().get("/")
    request.user = user
    sides = []

    def answer(request: Any) -> Any:
        sides.append(routing.of_unit(ramp, str(user.pk)).side)
        MigrationState.objects.filter(name=ramp.name).update(percent=100)
        sides.append(routing.of_unit(ramp, str(user.pk)).side)
        sides.append(routing.authority(ramp, str(user.pk), state.read(ramp)).side)

    RolloutMiddleware(answer)(request)
    assert sides == [Side.LEGACY, Side.LEGACY, Side.MODERN]  # a writer looks again, behind the fence
    assert routing.of_unit(ramp, str(user.pk)).side is Side.MODERN


def test_where_the_flag_is_missing_nobody_reads_modern(ramp: AnyMigration) -> None:
    assert not Flag.objects.filter(name=ramp.name).exists()
    assert said(routing.of_unit(ramp, "garden")) == LEGACY
