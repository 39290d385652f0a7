"""Looks at the gates of a step forward, and lets nobody pass while one is closed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from migration_ops import gates
from migration_ops.definition import AnyMigration
from migration_ops.exceptions import GateClosed
from migration_ops.gates import overrides
from migration_ops.gates.gate import Gate
from migration_ops.gates.overrides import Vouching
from migration_ops.sentence import joined, said_many
from migration_ops.state import State


@dataclass(frozen=True, slots=True)
class Passage:
    """A step forward, as far as its gates are concerned.

    Attributes:
        way: from where to where, e.g. `from shadow to ramp`.
        gates: ids, in the order they are shown.
        exposes: whether units that read legacy now will read modern.
        more: gates about the step itself, computed by whoever makes it.
    """

    way: str
    gates: tuple[str, ...]
    exposes: bool = False
    more: tuple[Gate, ...] = ()


def look(
    migration: AnyMigration,
    now: State,
    passage: Passage,
    *,
    vouching: Vouching | None = None,
    fenced: bool = False,
) -> tuple[Gate, ...]:
    """The gates as they are now, with the overrides in force; `fenced` while writers wait.

    Args:
        vouching: whose override to think of as granted.
    """
    found: Sequence[Gate] = [*passage.more, *gates.evaluate(migration, passage.gates, fenced=fenced)]
    found = overrides.applied(migration, now, found, exposes=passage.exposes)
    return tuple(found) if vouching is None else overrides.vouched(found, vouching, exposes=passage.exposes)


def require(passage: Passage, found: Sequence[Gate]) -> None:
    """Go on only if all of them are open.

    Raises:
        GateClosed: they are not; carries them.
    """
    closed = [gate for gate in found if not gate.is_open]
    if closed:
        refusal = said_many(
            "Not moved %(way)s: %(closed)s of %(all)s gates is closed.",
            "Not moved %(way)s: %(closed)s of %(all)s gates are closed.",
            len(closed),
            way=passage.way,
            closed=str(len(closed)),
            all=str(len(found)),
        )
        raise GateClosed(joined((refusal, *map(str, closed)), by="\n  "), found)


def pass_through(
    migration: AnyMigration, now: State, passage: Passage, *, vouching: Vouching | None = None
) -> tuple[Gate, ...]:
    """Inside the transaction of the step, while writers wait: keep the override, if there is one, and require that all
    gates are open.

    Raises:
        GateClosed: as for `require`.
    """
    found = look(migration, now, passage, fenced=True)
    if vouching is not None:
        waived = overrides.waivable(found, exposes=passage.exposes)
        if waived:
            overrides.grant(migration, now, waived, vouching)
            found = overrides.applied(migration, now, found, exposes=passage.exposes)
    require(passage, found)
    return found
