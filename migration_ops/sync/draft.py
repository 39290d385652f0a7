"""A document while it is being changed, where it is to be written, and what became of that."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from migration_ops.definition import AnyMigration, Side, Store
from migration_ops.observe.measures import What
from migration_ops.observe.metrics import Measured
from migration_ops.rollout.routing import Decision
from migration_ops.stages import Stage


class Outcome(StrEnum):
    """What became of the second write."""

    UNCHANGED = "unchanged"
    """The document is as it was; nothing was written anywhere."""

    BOTH = "both"
    """Both stores say it, in one commit."""

    FAILED = "failed"
    """The follower refused or was too slow; the key is on the dirty list."""

    DIFFERENT = "different"
    """Both were written, and one says something else than the other; the key is on the dirty list."""

    LATER = "later"
    """The follower is no part of the transaction; it is written right after the commit, and the key is on the list."""

    SWITCHED_OFF = "switched_off"
    """`DUAL_WRITE` stops writing to the follower; the key is on the dirty list."""

    HELD = "held"
    """A row of the document is in quarantine; it stays in legacy alone until a person has decided."""

    ONE_STORE = "one_store"
    """At this stage there is no second store."""


ATTEMPTED = frozenset({Outcome.BOTH, Outcome.FAILED, Outcome.DIFFERENT, Outcome.LATER})
"""Outcomes that count as attempts at a second write; its success rate is `BOTH` ÷ these."""


@dataclass(slots=True)
class Draft:
    """A document while it is being changed.

    Attributes:
        key: whose document.
        before: what the authority said; None where it has none.
        document: what it shall say; None removes it.
        decision: which store has the word, and why.
        outcome: what became of the second write; known when `writing` has ended.
    """

    key: Any
    before: Any
    document: Any
    decision: Decision
    outcome: Outcome = Outcome.UNCHANGED


@dataclass(slots=True)
class Place:
    """Where a draft is to be written.

    Attributes:
        store: the authority's.
        stage: as the fence keeps it.
        seen: notices about the key that were on the dirty list when the document was loaded.
        rows: the rows it was loaded from, where the authority has rows.
        overtaken: the write replaced something of the authority that it had not seen.
        sqlstate: of the follower's failure; where it is known before the write, the follower is not asked again.
    """

    migration: AnyMigration
    draft: Draft
    store: Store[Any, Any]
    stage: Stage
    seen: frozenset[int] = frozenset()
    rows: tuple[str, ...] = ()
    overtaken: bool = False
    sqlstate: str = ""

    @property
    def side(self) -> Side:
        return self.draft.decision.side

    @property
    def measured(self) -> Measured:
        """What this write is counted as, once it is done."""
        side, reason, step = self.side.value, self.draft.decision.reason.value, self.draft.decision.step
        return Measured(What.WRITE, side, self.draft.outcome.value, self.sqlstate, reason, step)


def put(store: Store[Any, Any], key: Any, document: Any) -> None:
    """Make the store say this of the key; None removes what it says."""
    if document is None:
        store.delete([key])
    else:
        store.save([document])
