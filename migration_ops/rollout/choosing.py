"""Chooses canaries: who reads modern outside of the plan, and who may ask for a store."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from migration_ops import conf, state, transitions
from migration_ops.definition import AnyMigration
from migration_ops.exceptions import UnusableInput
from migration_ops.gates import Gate, opening
from migration_ops.gates.opening import Passage
from migration_ops.models import Flag
from migration_ops.rollout import canaries
from migration_ops.rollout.turning import Change, refuse_no_percent, turn
from migration_ops.sentence import said
from migration_ops.stages import DATA_GATES
from migration_ops.state import State

_TOKEN = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Canaries:
    """What is chosen; None leaves it as it is.

    Attributes:
        header, cookie: by which staff ask for a store; "" for none any more.
        percent: share of the units that reads modern outside of the plan.
        users: users to name as canaries besides those that are.
        groups: the same for groups.
    """

    header: str | None = None
    cookie: str | None = None
    percent: Decimal | None = None
    users: tuple[Any, ...] = ()
    groups: tuple[Any, ...] = ()

    @property
    def named(self) -> tuple[str, ...]:
        """The users by their logins, then the groups."""
        return (*(user.get_username() for user in self.users), *map(str, self.groups))

    @property
    def columns(self) -> dict[str, Any]:
        """What of it the state keeps, by column."""
        chosen = {"canary_header": self.header, "canary_cookie": self.cookie, "canary_percent": self.percent}
        return {name: value for name, value in chosen.items() if value is not None}

    def are_more_than(self, now: State) -> bool:
        """Whether units would read modern that do not now."""
        share = now.canary_percent if self.percent is None else self.percent
        return bool(self.users or self.groups) or share > now.canary_percent


def canary(
    migration: AnyMigration,
    chosen: Canaries,
    *,
    actor: str,
    reason: str = "",
    dry_run: bool = False,
    version: int | None = None,
) -> Change:
    """Choose the canaries. More of them need the gates that say whether the data is there; nobody can vouch for those.

    Raises:
        UnusableInput: no name of a header or cookie, or no percentage up to `canary_share_most`.
        Refused: more people would be named than may be.
        GateClosed, Refused, StageChanged: as for `advance`.
    """
    _refuse_unusable(chosen)
    looked_at = state.seen(migration, version)
    more = chosen.are_more_than(looked_at)
    passage = Passage(said("to more canaries"), DATA_GATES, exposes=True)
    found: tuple[Gate, ...] = ()
    if more:
        transitions.refuse_stopped(looked_at)
        if chosen.named:
            canaries.refuse_too_many(migration, chosen.users, chosen.groups)
        found = opening.look(migration, looked_at, passage)
        opening.require(passage, found)

    def turned(now: State) -> tuple[State, tuple[Gate, ...]]:
        through = opening.pass_through(migration, now, passage) if more else ()
        if chosen.named:
            canaries.refuse_too_many(migration, chosen.users, chosen.groups)
            flag, _ = Flag.objects.get_or_create(name=migration.name)
            flag.users.add(*chosen.users)
            flag.groups.add(*chosen.groups)
        return replace(now, **chosen.columns), through

    if dry_run:
        wanted = replace(looked_at, **chosen.columns, named=looked_at.named or bool(chosen.named))
        return Change(looked_at, wanted, found, chosen.named)
    named = {"users": [str(user.pk) for user in chosen.users], "groups": [str(group) for group in chosen.groups]}
    also = named if any(named.values()) else {}
    change = turn(migration, looked_at, turned, verb="canary", actor=actor, reason=reason, also=also)
    return replace(change, named=chosen.named)


def canary_off(
    migration: AnyMigration, *, actor: str, reason: str = "", dry_run: bool = False, version: int | None = None
) -> Change:
    """No canaries any more: no header, no cookie, no share, nobody by name."""
    looked_at = state.seen(migration, version)
    off: dict[str, Any] = {"canary_header": "", "canary_cookie": "", "canary_percent": Decimal(0), "named": False}
    named = _named(migration)
    if dry_run:
        return Change(looked_at, replace(looked_at, **off))

    def turned(now: State) -> tuple[State, tuple[Gate, ...]]:
        for flag in Flag.objects.filter(name=migration.name):
            flag.users.clear()
            flag.groups.clear()
        return replace(now, **off), ()

    also = {"no_longer": named} if any(named.values()) else {}
    return turn(migration, looked_at, turned, verb="canary", actor=actor, reason=reason, also=also)


def _named(migration: AnyMigration) -> dict[str, list[str]]:
    flag = Flag.objects.filter(name=migration.name).first()
    if flag is None:
        return {}
    users = [str(key) for key in flag.users.values_list("pk", flat=True)]
    return {"users": users, "groups": [str(group) for group in flag.groups.all()]}


def _refuse_unusable(chosen: Canaries) -> None:
    if chosen.header and not _is_token(chosen.header):
        raise UnusableInput(
            said(
                "%(name)s cannot be the name of a header: write letters, digits, - and _ (at most 100).",
                name=repr(chosen.header),
            )
        )
    if chosen.cookie and not _is_token(chosen.cookie):
        raise UnusableInput(
            said(
                "%(name)s cannot be the name of a cookie: write letters, digits, - and _ (at most 100).",
                name=repr(chosen.cookie),
            )
        )
    if chosen.percent is None:
        return
    refuse_no_percent(chosen.percent)
    most = Decimal(conf.settings().canary_share_most)
    if chosen.percent > most:
        raise UnusableInput(
            said("At most %(most)s of the units can be canaries; `rollout set` follows the plan.", most=f"{most} %")
        )


def _is_token(name: str) -> bool:
    return len(name) <= 100 and _TOKEN.fullmatch(name) is not None
