"""What happened to a migration: append-only, each entry bound to the one before by its hash.

Numbers, hashes and the refusal of every change are the work of triggers (see `guards`), so that entries which never saw
this code are chained as well.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection, transaction
from django.db.models import QuerySet

from migration_ops import guards
from migration_ops.definition import AnyMigration
from migration_ops.exceptions import UnusableInput
from migration_ops.models import HistoryEntry


@dataclass(frozen=True, slots=True)
class Verification:
    """What `verify` found.

    Attributes:
        entries: how many there are.
        ok: every entry continues the chain, nothing is missing, and every stage is where its history ends.
        first_broken: number of the first entry that was changed, removed or put in past the chain; None when `ok`.
        message: a sentence.
        head: the hash of the last entry. Kept somewhere else, it proves later that the history up to here is the same.
    """

    entries: int
    ok: bool
    first_broken: int | None
    message: str
    head: str


def append(
    migration: AnyMigration,
    *,
    actor: str,
    verb: str,
    reason: str = "",
    from_stage: str = "",
    to_stage: str = "",
    evidence: Mapping[str, Any] | None = None,
) -> HistoryEntry:
    """Write one entry, in the caller's transaction; until its end other writers of history wait.

    Raises:
        UnusableInput: a text holds what PostgreSQL cannot store, or the actor's name is empty or too long.
    """
    _refuse_unstorable(actor, reason)
    if not actor.strip() or len(actor) > 200:
        raise UnusableInput("Say who does this, in 1 to 200 characters (--actor NAME).")
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO migration_ops_historyentry"
            " (migration, at, actor, verb, from_stage, to_stage, reason, evidence, previous_hash, hash)"
            " VALUES (%s, clock_timestamp(), %s, %s, %s, %s, %s, %s, '', '') RETURNING id",
            [
                migration.name,
                actor,
                verb,
                from_stage,
                to_stage,
                reason,
                json.dumps(evidence or {}, cls=DjangoJSONEncoder, allow_nan=False),
            ],
        )
        (number,) = cursor.fetchone()
    return HistoryEntry.objects.get(pk=number)


def _refuse_unstorable(*texts: str) -> None:
    for text in texts:
        if "\x00" in text or any("\ud800" <= character <= "\udfff" for character in text):
            raise UnusableInput(f"{text!r} holds characters that the database cannot store; write it without them.")


def entries(migration: AnyMigration) -> QuerySet[HistoryEntry]:
    """The entries of this migration, the latest first."""
    return HistoryEntry.objects.filter(migration=migration.name).order_by("-id")


def vouched_for(entry: HistoryEntry) -> list[str]:
    """Ids of the gates that were closed at this entry and that somebody vouched for."""
    return [str(gate["id"]) for gate in entry.evidence.get("gates") or () if gate.get("waived")]


# Recomputed from the fields and not with the trigger's function, which could have been replaced. Entries are numbered
# without gaps, so the n-th has the number n; a smaller n means that one before it is missing.
_VERIFY = f"""
WITH chain AS (
    SELECT entry.id, entry.hash,
           row_number() OVER chained AS expected, lead(entry.id) OVER chained IS NULL AS last,
           entry.previous_hash <> coalesce(lag(entry.hash) OVER chained, '')
               OR entry.hash <> {guards.ENTRY_HASH.format(entry="entry")} AS forged
      FROM migration_ops_historyentry AS entry
    WINDOW chained AS (ORDER BY entry.id)
), summary AS (
    SELECT count(*) AS entries, min(least(id, expected)) FILTER (WHERE forged OR id <> expected) AS broken,
           coalesce((array_agg(hash) FILTER (WHERE last))[1], '') AS last_hash
      FROM chain
), lost AS (
    SELECT string_agg(state.name || ' is at ' || state.stage, ', ' ORDER BY state.name) AS stages
      FROM migration_ops_migrationstate AS state
     WHERE state.stage <> coalesce((SELECT to_stage FROM migration_ops_historyentry AS entry
                                     WHERE entry.migration = state.name AND entry.to_stage <> ''
                                     ORDER BY entry.id DESC LIMIT 1), 'off')
)
SELECT summary.entries, summary.broken, summary.last_hash, coalesce(head.entries, 0), coalesce(head.hash, ''),
       lost.stages
  FROM summary CROSS JOIN lost LEFT JOIN migration_ops_historyhead AS head ON true
"""


def verify() -> Verification:
    """Recompute the chain from the first entry to the last, in one snapshot; the memory needed here is constant."""
    with connection.cursor() as cursor:
        cursor.execute(_VERIFY)
        count, broken, last_hash, head_entries, head_hash, lost_stages = cursor.fetchone()
    if broken is not None:
        message = f"Entry {broken} was changed, removed or put in past the chain."
    elif count < head_entries:
        broken = count + 1
        message = f"The history ended at entry {head_entries}; entries from {broken} on were removed."
    elif (count, last_hash) != (head_entries, head_hash):
        broken = count or 1
        message = f"Entry {broken} is not the one that the chain ended with."
    elif lost_stages is not None:
        broken = count + 1
        message = f"The history does not say how this came about: {lost_stages}."
    else:
        message = f"All {count} entries are as they were written."
    return Verification(count, broken is None, broken, message, last_hash)
