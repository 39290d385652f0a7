"""Shadow reads: a share of what families read is read from both stores and compared.

Both stores are read in one snapshot, in random order, each timed, so that the pair is fair. The family's answer is
there already, whatever comes of it: a comparison that fails is counted, and one that takes too long is given up. A
difference is looked at again in a fresh snapshot before it counts, and is kept without what the documents say.
"""

from __future__ import annotations

import json
import logging
import random
import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from time import monotonic
from typing import Any

from django.conf import settings as django_settings
from django.db import Error, connection

from migration_ops.conf import settings
from migration_ops.definition import AnyMigration, FieldDifference, Side
from migration_ops.exceptions import MigrationOpsError
from migration_ops.locks import hurried
from migration_ops.models import QuarantineItem, QuarantineStatus
from migration_ops.observe import metrics
from migration_ops.observe.measures import ReadOutcome, ShadowOutcome, What
from migration_ops.observe.metrics import Measured
from migration_ops.patience import cause
from migration_ops.rollout.authority import shown
from migration_ops.rollout.routing import Decision, Reason
from migration_ops.sync import dirty
from migration_ops.verify.compare import Kind, judge
from migration_ops.verify.snapshot import snapshot

logger = logging.getLogger(__name__)

DIRTY = "dirty"
"""Rule: a change of this key is on its way to the other store."""

QUARANTINED = "quarantined"
"""Rule: a row of this key is in quarantine, so that legacy alone has it."""

_KEEP = """
INSERT INTO migration_ops_readdifference AS known (migration, key, step, fields, count, first_seen, last_seen)
VALUES (%s, %s, %s, %s, 1, clock_timestamp(), clock_timestamp())
ON CONFLICT (migration, key, step) DO UPDATE
   SET fields = excluded.fields, count = known.count + 1, last_seen = excluded.last_seen
"""

_busy = threading.Lock()
_at_once = 0


@dataclass(slots=True)
class _Look:
    """What one look at both stores found.

    Attributes:
        seconds: how long each store took; nothing where nothing was read.
        unlike: what differs, by key.
        ignored: the rule by which a key was left out.
        compared: how many keys were compared.
    """

    seconds: dict[Side, float] = field(default_factory=dict)
    unlike: dict[Any, tuple[FieldDifference, ...]] = field(default_factory=dict)
    ignored: dict[Any, str] = field(default_factory=dict)
    compared: int = 0


def look(migration: AnyMigration, served: Decision, keys_in: Callable[[Side], Collection[Any]]) -> None:
    """Compare what was just read, if it is its turn; called when the answer is there.

    Args:
        served: by whose word the family was answered.
        keys_in: the keys that were asked for, as far as this store knows them.
    """
    if not _is_sampled(served) or connection.in_atomic_block or not _enter():
        return
    began = monotonic()
    outcome, rule = ShadowOutcome.ERROR, ""
    try:
        outcome, rule = _compared(migration, served, keys_in)
    except (Error, MigrationOpsError, OSError) as error:
        rule = cause(error)
    except Exception as error:
        rule = type(error).__name__
        logger.exception("A shadow read failed.")
    finally:
        _leave()
    measured = Measured(
        What.SHADOW_READ, served.side.other.value, outcome.value, rule, served.reason.value, served.step
    )
    metrics.add(migration, measured, seconds=monotonic() - began)


def _is_sampled(served: Decision) -> bool:
    if not served.compares or served.reason in (Reason.PIN, Reason.KILL):
        return False
    return random.random() * 100 < settings().shadow_read_percent  # noqa: S311 - a sample, no secret


def _enter() -> bool:
    global _at_once
    with _busy:
        if _at_once >= settings().shadow_reads_at_once:
            return False
        _at_once += 1
        return True


def _leave() -> None:
    global _at_once
    with _busy:
        _at_once -= 1


def _compared(
    migration: AnyMigration, served: Decision, keys_in: Callable[[Side], Collection[Any]]
) -> tuple[ShadowOutcome, str]:
    first = _looked(migration, keys_in)
    for side, seconds in first.seconds.items():
        measured = Measured(What.PAIRED_READ, side.value, ReadOutcome.OK.value, "", served.reason.value, served.step)
        metrics.add(migration, measured, seconds=seconds)
    if not first.unlike:
        if first.ignored and not first.compared:
            return ShadowOutcome.IGNORED, next(iter(first.ignored.values()))
        return ShadowOutcome.MATCHED, ""
    again = _looked(migration, lambda side: first.unlike.keys())
    if not again.unlike:
        return (ShadowOutcome.IGNORED, DIRTY) if again.ignored else (ShadowOutcome.MATCHED, "")
    _keep(migration, served, again.unlike)
    return ShadowOutcome.MISMATCHED, ""


def _looked(migration: AnyMigration, keys_in: Callable[[Side], Collection[Any]]) -> _Look:
    """One look, in a snapshot of its own; keys for which something else counts are left out by name."""
    found = _Look()
    sides = random.sample(list(Side), 2)
    with snapshot(), hurried(settings().shadow_read_patience):
        listed = {side: set(keys_in(side)) for side in sides}
        keys = set().union(*listed.values())
        found.ignored = _exceptions(migration, keys)
        plain = keys - found.ignored.keys()
        documents: dict[Side, Mapping[Any, Any]] = {}
        for side in sides if plain else ():  # to read nothing takes no time, and would make both stores look fast
            began = monotonic()
            documents[side] = shown(migration, side).load(plain).by_key()
            found.seconds[side] = monotonic() - began
    found.compared = len(plain)
    for key in plain:
        verdict = judge(migration, documents[Side.LEGACY].get(key), documents[Side.MODERN].get(key))
        if verdict.kind.is_difference:
            found.unlike[key] = verdict.fields or (_missing(verdict.kind),)
    return found


def _exceptions(migration: AnyMigration, keys: Collection[Any]) -> dict[Any, str]:
    encoded = {migration.encode_key(key): key for key in keys}
    items = QuarantineItem.of(migration).filter(key__in=list(encoded)).exclude(status=QuarantineStatus.RESOLVED)
    waiting = {key for key in items.values_list("key", flat=True) if key is not None}
    found = dict.fromkeys((encoded[key] for key in waiting), QUARANTINED)
    return found | dict.fromkeys((encoded[key] for key, _ in dirty.sides(migration, encoded)), DIRTY)


def _missing(kind: Kind) -> FieldDifference:
    there = kind is Kind.MISSING_IN_MODERN
    return FieldDifference("document", *(("there", None) if there else (None, "there")))


def _keep(migration: AnyMigration, served: Decision, unlike: Mapping[Any, tuple[FieldDifference, ...]]) -> None:
    with connection.cursor() as cursor:
        for key, fields in unlike.items():
            masked = [
                {"path": each.path, "legacy": mask(each.legacy), "modern": mask(each.modern)} for each in fields[:50]
            ]
            cursor.execute(_KEEP, [migration.name, migration.encode_key(key), served.step, json.dumps(masked)])


def mask(value: Any) -> str:
    """Kind and length of a value and a mark that equal values share; never what it says."""
    if value is None:
        return "nothing"
    said = json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)
    secret = str(django_settings.SECRET_KEY).encode()[:64]
    mark = blake2b(said.encode(errors="surrogatepass"), key=secret, digest_size=4).hexdigest()
    length = f" of {len(value)}" if isinstance(value, str | list | dict) else ""
    return f"{type(value).__name__}{length} ({mark})"
