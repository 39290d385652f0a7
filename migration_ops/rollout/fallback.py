"""Legacy in the place of modern, where modern has the word and fails.

At `ramp` and at `live` every change is in both stores, or on the dirty list with the side it is on. So legacy can
answer for any key that is not on the list with modern's side: never with a stale answer, and where there is no other
the error stays. From `frozen` on legacy is no longer complete, and a read that a person pinned to modern stays there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from time import monotonic
from typing import Any

from django.db import connection, transaction

from migration_ops.conf import settings
from migration_ops.definition import AnyMigration, Side
from migration_ops.locks import limit, limited
from migration_ops.patience import bounded_by
from migration_ops.rollout import routing
from migration_ops.rollout.authority import Authority
from migration_ops.rollout.breaker import Breaker, Limits
from migration_ops.rollout.routing import Decision, Reason

_A_LITTLE_LESS = 0.8
"""A statement may wait for a lock for less than it may take: whoever waited in vain is told that it was a lock."""


def is_possible(decision: Decision) -> bool:
    """Whether legacy may stand in where the one who has the word by this decision fails."""
    return decision.side is Side.MODERN and decision.backed


def breaker(migration: AnyMigration) -> Breaker:
    """This process's breaker of the modern store, by the settings in force."""
    limits = settings()
    return breaker_of(
        migration.name,
        Limits(limits.breaker_failures, limits.breaker_window.total_seconds(), limits.breaker_pause.total_seconds()),
    )


@lru_cache
def breaker_of(name: str, limits: Limits) -> Breaker:
    """The breaker of the migration of this name in this process, one for each set of limits."""
    return Breaker(limits)


def modern_is_left_alone(migration: AnyMigration) -> bool:
    """Whether the breaker says to ask legacy at once; whoever is told no calls modern, and says how it went."""
    return not breaker(migration).allows(monotonic())


@contextmanager
def reported(migration: AnyMigration) -> Iterator[None]:
    """The breaker is told how this block, which calls modern, ends."""
    try:
        yield
    except Exception:
        breaker(migration).failed(monotonic())
        raise
    breaker(migration).succeeded()


@contextmanager
def hurried() -> Iterator[None]:
    """A savepoint, or a transaction of its own, in which no statement takes longer than `read_patience`."""
    patience = settings().read_patience
    is_mine = not connection.in_atomic_block
    with transaction.atomic(), bounded_by(patience):
        if is_mine:  # nobody comes after it in this transaction, whose end costs nothing more
            limit(lock=patience * _A_LITTLE_LESS, statement=patience)
            yield
        else:
            with limited(lock=patience * _A_LITTLE_LESS, statement=patience):
                yield


def by_legacy(usual: Decision, reason: Reason) -> Decision:
    """The same decision, but that legacy stands in; with a modern that fails it is not compared."""
    return replace(usual, side=Side.LEGACY, reason=reason, compares=False)


class LegacyStandsIn(Authority):
    """Legacy has the word in the place of modern; asked within `hurried`.

    Left with modern is what it alone can answer: a key that changed there and was not carried over, and one of which
    legacy's row waits for a person although modern has a document.

    Args:
        modern: the decision that modern has the word.
        reason: why it does not.
        failure: what modern raised; then it is not asked again for what it alone can answer, and this is raised.
    """

    def __init__(
        self, migration: AnyMigration, modern: Decision, reason: Reason, failure: Exception | None = None
    ) -> None:
        super().__init__(migration, by_legacy(modern, reason))
        self._modern = modern
        self._failure = failure

    def of_keys(self, exceptions: Collection[Any]) -> dict[Any, Decision]:
        if not exceptions:
            return {}
        found = routing.of_keys(self.migration, exceptions, self._modern)
        if self._failure is not None and any(decision.side is Side.MODERN for decision in found.values()):
            raise self._failure
        return found
