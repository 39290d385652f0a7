"""Reads documents from the store that has the word for them, whichever that is.

What a unit sees may come from both stores: most of it from the one its unit is served from, and a key that is an
exception (`routing`) from the other. The answer is the same as if one store had all of it. Where modern has the word
and fails, legacy answers within the same request (`fallback`). Every read is counted.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any, TypeVar

from django.db import Error

from migration_ops.definition import AnyMigration, ListsUnits, Side
from migration_ops.exceptions import MigrationOpsError
from migration_ops.observe import metrics
from migration_ops.observe.measures import ReadOutcome, What
from migration_ops.observe.metrics import Measured
from migration_ops.patience import cause
from migration_ops.rollout import fallback, pinning, routing, shadow
from migration_ops.rollout.authority import Authority, Load, whole
from migration_ops.rollout.fallback import LegacyStandsIn
from migration_ops.rollout.routing import Decision, Reason
from migration_ops.sync import dirty

logger = logging.getLogger(__name__)

Found = TypeVar("Found")


def _everything(key: Any) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Answer:
    """Documents by key, absent ones absent, and which store answered for the unit, or for the one key that was asked.

    Attributes:
        documents: or what `load` read in their place.
        decision: for a single key its own, otherwise the unit's.
    """

    documents: dict[Any, Any]
    decision: Decision


@dataclass(frozen=True, slots=True)
class Listing:
    """Keys of documents that are there, and which store answered for the unit."""

    keys: set[Any]
    decision: Decision


def document(migration: AnyMigration, key: Any) -> Answer:
    """The document of this key."""

    def look(authority: Authority) -> tuple[dict[Any, Any], Decision]:
        exceptions = [key] if dirty.exceptional_among(migration, [migration.encode_key(key)]) else []
        decision = authority.of_keys(exceptions).get(key, authority.usual)
        return dict(authority.load(decision.side, [key])), decision

    answer = Answer(*_answered(migration, migration.unit(key), look))
    shadow.look(migration, answer.decision, lambda side: [key])
    return answer


def documents(
    migration: AnyMigration, unit: str, wanted: Callable[[Any], bool] = _everything, *, load: Load = whole
) -> Answer:
    """All documents of this unit whose keys are wanted.

    Args:
        load: for whoever needs less of them than the whole, which a store may give faster.
    """

    def look(authority: Authority) -> tuple[dict[Any, Any], Decision]:
        return _load_each(authority, _decisions(authority, unit, wanted), load), authority.usual

    answer = Answer(*_answered(migration, unit, look))
    shadow.look(migration, answer.decision, lambda side: _listed(migration, unit, wanted, side))
    return answer


def last(
    migration: AnyMigration,
    unit: str,
    wanted: Callable[[Any], bool],
    *,
    order: Callable[[Any], Any],
    most: int,
    load: Load = whole,
) -> Answer:
    """The last so many of the documents that `documents` would return, in this order of their keys; no others are
    read."""

    def look(authority: Authority) -> tuple[dict[Any, Any], Decision]:
        decisions = _decisions(authority, unit, wanted)
        left = sorted(decisions, key=order)
        found: dict[Any, Any] = {}
        while left and len(found) < most:
            # A key that is an exception may have no document, and then makes room for one more.
            place = max(0, len(left) - (most - len(found)))
            found |= _load_each(authority, {key: decisions[key] for key in left[place:]}, load)
            left = left[:place]
        return found, authority.usual

    answer = Answer(*_answered(migration, unit, look))
    shadow.look(
        migration, answer.decision, lambda side: sorted(_listed(migration, unit, wanted, side), key=order)[-most:]
    )
    return answer


def listing(migration: AnyMigration, unit: str, wanted: Callable[[Any], bool] = _everything) -> Listing:
    """The keys of all documents that `documents` would return; cheaper, since only exceptions are looked at."""

    def look(authority: Authority) -> tuple[set[Any], Decision]:
        listed = _listed(migration, unit, wanted, authority.usual.side)
        exceptions = _exceptions(authority, unit, wanted)
        elsewhere = {key: decision for key, decision in exceptions.items() if decision != authority.usual}
        if authority.usual.side is Side.LEGACY:  # legacy lists the key of a row although nothing of it can be shown
            behind = map(migration.decode_key, dirty.left_behind(migration, migration.unit_prefix(unit)))
            elsewhere |= dict.fromkeys((listed & set(behind)) - exceptions.keys(), authority.usual)
        return (listed - elsewhere.keys()) | _load_each(authority, elsewhere, whole).keys(), authority.usual

    return Listing(*_answered(migration, unit, look))


def keys(migration: AnyMigration, unit: str, wanted: Callable[[Any], bool] = _everything) -> set[Any]:
    """As `listing`, for whoever does not mind which store answers."""
    return listing(migration, unit, wanted).keys


def _answered(
    migration: AnyMigration, unit: str, look: Callable[[Authority], tuple[Found, Decision]]
) -> tuple[Found, Decision]:
    """What `look` finds by the word of whoever has it, and the decision that it names.

    Raises:
        Exception: whatever the store that has the word raised, where no other may answer.
    """
    began = monotonic()
    usual = routing.of_unit(migration, unit)
    try:
        if not fallback.is_possible(usual):
            found, decision = look(Authority(migration, usual))
        elif fallback.modern_is_left_alone(migration):
            with fallback.hurried():
                found, decision = look(LegacyStandsIn(migration, usual, Reason.BREAKER))
            _count(migration, usual, ReadOutcome.SPARED, began)
            return found, decision
        else:
            try:
                with fallback.reported(migration), fallback.hurried():
                    found, decision = look(Authority(migration, usual))
            except Exception as failure:  # noqa: BLE001 - raised again where legacy may not answer
                found, decision = _instead(migration, usual, look, failure)
                _count(migration, usual, ReadOutcome.FALLBACK, began, failure)
                return found, decision
    except Exception as error:
        _count(migration, usual, ReadOutcome.ERROR, began, error)
        raise
    _count(migration, decision, ReadOutcome.OK, began)
    return found, decision


def _instead(
    migration: AnyMigration,
    usual: Decision,
    look: Callable[[Authority], tuple[Found, Decision]],
    failure: Exception,
) -> tuple[Found, Decision]:
    try:
        with fallback.hurried():
            answer = look(LegacyStandsIn(migration, usual, Reason.FALLBACK, failure))
    except (Error, MigrationOpsError, OSError) as second:
        if second is failure:
            raise
        raise failure from second
    logger.warning("Modern could not be read, and legacy answered (%s).", cause(failure), exc_info=failure)
    return answer


def _count(
    migration: AnyMigration, decision: Decision, outcome: ReadOutcome, began: float, error: Exception | None = None
) -> None:
    """Count a read for the store that was asked first, with the reason; no family makes those that are pinned by a
    block of our own."""
    if pinning.here() is not None:
        return
    why = "" if error is None else cause(error)
    measured = Measured(What.READ, decision.side.value, outcome.value, why, decision.reason.value, decision.step)
    metrics.add(migration, measured, seconds=monotonic() - began)


def _decisions(authority: Authority, unit: str, wanted: Callable[[Any], bool]) -> dict[Any, Decision]:
    """For every key of the unit that either is in its usual store or may be an exception."""
    listed = _listed(authority.migration, unit, wanted, authority.usual.side)
    return dict.fromkeys(listed, authority.usual) | _exceptions(authority, unit, wanted)


def _listed(migration: AnyMigration, unit: str, wanted: Callable[[Any], bool], side: Side) -> set[Any]:
    """The keys that the unit has in this store."""
    store = migration.store(side)
    if not isinstance(store, ListsUnits):
        raise TypeError(f"The {side} store of {migration.name} cannot list the documents of a unit.")
    return set(filter(wanted, store.keys_of_unit(unit)))


def _exceptions(authority: Authority, unit: str, wanted: Callable[[Any], bool]) -> dict[Any, Decision]:
    """For every key of the unit that may be an exception, whether or not there is a document of it."""
    migration = authority.migration
    found = map(migration.decode_key, dirty.exceptional(migration, migration.unit_prefix(unit)))
    return authority.of_keys(set(filter(wanted, found)))


def _load_each(authority: Authority, decisions: Mapping[Any, Decision], load: Load) -> dict[Any, Any]:
    found: dict[Any, Any] = {}
    for side in Side:
        found |= authority.load(side, [key for key, decision in decisions.items() if decision.side is side], load)
    return found
