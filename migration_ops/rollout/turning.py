"""Changes the one row that every decision reads, with its history, in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from django.db import connection, transaction

from migration_ops import conf, guards, history, state
from migration_ops.definition import AnyMigration
from migration_ops.exceptions import StageChanged, UnusableInput
from migration_ops.gates import Gate
from migration_ops.models import Flag
from migration_ops.patience import milliseconds
from migration_ops.sentence import said
from migration_ops.state import State


@dataclass(frozen=True, slots=True)
class Change:
    """What was done, or with a dry run would have been.

    Attributes:
        gates: the evidence of a step forward.
        named: who becomes a canary by name, in words.
    """

    before: State
    after: State
    gates: tuple[Gate, ...] = ()
    named: tuple[str, ...] = ()

    @property
    def is_nothing(self) -> bool:
        return self.before == self.after and not self.named


_COLUMNS = ("percent", "hold", "kill", "canary_header", "canary_cookie", "canary_percent")


def turn(
    migration: AnyMigration,
    decided_on: State,
    turned: Callable[[State], tuple[State, tuple[Gate, ...]]],
    *,
    verb: str,
    actor: str,
    reason: str,
    also: Mapping[str, Any] | None = None,
) -> Change:
    """Make the row say what `turned` makes of it, write the history and tell everybody; a change of nothing is none."""
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute(
            "SELECT set_config('lock_timeout', %s, true), set_config(%s, 'yes', true)",
            [milliseconds(conf.settings().fence_timeout), guards.RECORDED],
        )
        before = state.locked(migration, decided_on)
        wanted, found = turned(before)
        if wanted == before and not also:
            return Change(before, before, found)
        Flag.objects.get_or_create(name=migration.name)
        cursor.execute(
            f"UPDATE migration_ops_migrationstate SET {', '.join(f'{name} = %s' for name in _COLUMNS)},"
            " version = version + 1, changed_at = clock_timestamp() WHERE name = %s",
            [*(getattr(wanted, name) for name in _COLUMNS), migration.name],
        )
        after = state.read(migration)
        _record(migration, before, after, found, verb=verb, actor=actor, reason=reason, also=also or {})
        state.tell(migration)
    return Change(before, after, found)


def insisted(migration: AnyMigration, version: int | None, make: Callable[[State], Change]) -> Change:
    """What `make` makes of the state, for what takes back or stops: whoever did not say which state it was decided on
    wants it whatever others do at the same moment. Each further try means that somebody else's change was committed.

    Raises:
        StageChanged: there is another version by now than the one that was named.
    """
    while True:
        try:
            return make(state.seen(migration, version))
        except StageChanged:
            if version is not None:
                raise


def switch(
    migration: AnyMigration,
    verb: str,
    *,
    actor: str,
    reason: str,
    looked_at: State,
    dry_run: bool = False,
    **to: Any,
) -> Change:
    """Make the row say `to`, whatever it says now: no gate is asked."""
    if dry_run:
        return Change(looked_at, replace(looked_at, **to))
    return turn(migration, looked_at, lambda now: (replace(now, **to), ()), verb=verb, actor=actor, reason=reason)


def _record(
    migration: AnyMigration,
    before: State,
    after: State,
    found: tuple[Gate, ...],
    *,
    verb: str,
    actor: str,
    reason: str,
    also: Mapping[str, Any],
) -> None:
    evidence: Mapping[str, Any] = {
        **also,
        "version": after.version,
        "step": after.step,
        "before": _as_json(before),
        "after": _as_json(after),
        "gates": [gate.as_dict() for gate in found],
    }
    history.append(
        migration,
        actor=actor,
        verb=verb,
        reason=reason,
        from_stage=before.stage.value,
        to_stage=after.stage.value,
        evidence=evidence,
    )


def refuse_no_percent(percent: Decimal) -> None:
    """Raises:
    UnusableInput: not a percentage from 0 to 100 with at most two decimals.
    """
    if not percent.is_finite() or not 0 <= percent <= 100 or percent != round(percent, 2):
        raise UnusableInput(
            said("%(percent)s is no percentage from 0 to 100 with at most two decimals.", percent=str(percent))
        )


def _as_json(here: State) -> dict[str, Any]:
    """What the database's own record of a change has, too."""
    values = {name: getattr(here, name) for name in _COLUMNS}
    return {name: float(value) if isinstance(value, Decimal) else value for name, value in values.items()}
