"""Drift detection: compares what was touched since the last time and a random sample, often, because it is cheap.

What was touched is known from what PostgreSQL keeps anyway (see `touched`). Where that cannot be relied on, because
there was no comparison before, because the database was restored from a dump, or because changes were not captured,
everything is compared.
"""

from __future__ import annotations

import secrets
from collections import Counter
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from django.db.models import Count, Q

from migration_ops import runs, stages, state
from migration_ops.conf import settings
from migration_ops.definition import AnyMigration, RowStore, Side, Span, Store, Stray
from migration_ops.exceptions import Refused, Unreadable, UnusableInput
from migration_ops.failpoints import failpoint, label
from migration_ops.models import Difference, DifferenceStatus, RunKind, TouchedKey
from migration_ops.sentence import said, word
from migration_ops.stages import Stage
from migration_ops.sync import capture
from migration_ops.verify import mark, touched
from migration_ops.verify.compare import Kind, Tally
from migration_ops.verify.journal import TOUCHED_PASS, Journal, begin, begin_apart, refuse_if_held
from migration_ops.verify.look import look
from migration_ops.verify.mark import Since
from migration_ops.verify.power import power
from migration_ops.verify.recheck import settle
from migration_ops.verify.sample import look_at_sample
from migration_ops.verify.severity import ORDER as SEVERITIES
from migration_ops.verify.sweep import Chunk, Progress, make_pass
from migration_ops.verify.validation import (
    Validation,
    look_around,
    quarantine_open,
    summary,
    suspending,
    sweep_whole,
)

GATHERED = label("drift_gathered")


@dataclass(frozen=True, slots=True)
class Drift(Validation):
    """What a drift run found.

    Attributes:
        touched: documents that were compared because they may have changed.
        since: the comparison it builds on; None where there is none to be relied on.
        everything_because: why everything was compared; empty where it was not.
    """

    touched: int = 0
    since: Since | None = None
    everything_because: str = ""

    @property
    def sampled(self) -> int:
        """Documents that were chosen at random; whoever saw everything saw those as well."""
        return min(self.sample or 0, self.tally.compared) if self.everything_because else self.tally.sampled

    @property
    def power(self) -> float | None:
        """What the random sample proves of the documents that nobody is known to have touched; see `power.power`."""
        return power(self.sampled)

    def particulars(self) -> dict[str, Any]:
        found = Difference.objects.filter(run=self.run).exclude(status=DifferenceStatus.SUSPECT)
        severities = Counter(dict(found.values_list("severity").annotate(Count("pk")).order_by("severity")))
        statuses = Counter(dict(found.values_list("status").annotate(Count("pk")).order_by("status")))
        return {
            "touched": self.touched,
            "sampled": self.sampled,
            "since": self.since and self.since.at.isoformat(),
            "everything_because": self.everything_because or None,
            "severities": {bad.value: severities[bad] for bad in SEVERITIES},
            "new": statuses[DifferenceStatus.NEW],
            "confirmed": statuses[DifferenceStatus.CONFIRMED],
        }


def detect(
    migration: AnyMigration,
    *,
    actor: str,
    sample: int | None = None,
    seed: int | None = None,
    keep: bool = True,
    progress: Progress = lambda number, tally: None,
) -> Drift:
    """Compare what was touched since the last complete comparison, and `sample` documents chosen with `seed`.

    One that was killed or interrupted is taken up again where it stopped. `keep=False` is for a dry run: discard what
    comes of it with `validation.discard`.

    Args:
        sample: documents; `drift_sample` by default.

    Raises:
        LeaseHeld: drift is being detected already; the message says who holds the lease and until when.
        Refused: legacy is frozen or gone.
        UnusableInput: the sample is empty, or the legacy store cannot be used at all.
    """
    refuse_unless_compared(migration)
    size = settings().drift_sample if sample is None else sample
    if size < 1:
        raise UnusableInput(f"A sample of {size} proves nothing; ask for 1 at least.")
    began = mark.now()  # before anything is asked: what changes from here on is for the next time
    since = mark.since(migration)
    because = _everything_because(migration, since)
    chosen = secrets.randbits(31) if seed is None else seed
    asked = {"sample": size, "everything_because": because}
    journal = _begin(migration, actor, {**asked, **asdict(began), "seed": chosen}, keep)
    legacy, modern = migration.legacy(), migration.modern()
    strays: tuple[Stray, ...] = ()
    try:
        with suspending(journal):
            if since is None or because:
                sweep_whole(journal, legacy, modern, progress)
            else:
                _look_at_touched(journal, since, legacy, modern, progress)
                chosen = journal.run.options["seed"]
                known = partial(touched.among, journal)
                look_at_sample(journal, legacy, modern, size, chosen, progress, compared=known)
            settle(journal, legacy, modern)
            if because:
                strays = look_around(journal, legacy, modern)
    except Unreadable as error:
        return _drift(journal, since, because, size, (*journal.reasons, str(error)))
    found = _drift(journal, since, because, size, tuple(journal.reasons), strays)
    noted = TouchedKey.objects.filter(run=journal.run)
    looked_at = Q() if because else Q(key__in=noted.values("key"))
    journal.finish({**summary(found), **found.particulars()}, complete=found.complete, looked_at=looked_at)
    return found


def refuse_unless_compared(migration: AnyMigration) -> None:
    """From `frozen` on legacy stays as it is, and everything that is written makes the stores differ.

    Raises:
        Refused: the migration is there.
    """
    stage = state.stage(migration)
    if stage.position >= Stage.FROZEN.position:
        raise Refused(
            said(
                "At stage %(stage)s the two stores are no longer kept in step, so they differ by design.",
                stage=stage.value,
            )
        )


def empty_particulars() -> dict[str, Any]:
    """What `Drift.particulars` says before anything was seen."""
    return {
        "touched": 0,
        "sampled": 0,
        "since": None,
        "everything_because": None,
        "severities": dict.fromkeys((bad.value for bad in SEVERITIES), 0),
        "new": 0,
        "confirmed": 0,
    }


def _begin(migration: AnyMigration, actor: str, options: dict[str, Any], keep: bool) -> Journal:
    unfinished = runs.unfinished(migration, RunKind.DRIFT)
    if unfinished is not None:
        runs.let_the_dead_go(unfinished)
    if keep:
        return begin(migration, RunKind.DRIFT, actor=actor, options=options)
    refuse_if_held(migration, RunKind.DRIFT)
    return begin_apart(migration, RunKind.DRIFT, actor=actor, options={**options, "dry_run": 1})


def reason_kept(text: str) -> str:
    """Why everything was compared, of which a run keeps the words, as a sentence again that can be translated."""
    known = (_NO_MARK, _LOST, *map(_not_captured, Side), *map(_captured_anew, Side))
    return next((each for each in known if each == text), text)


_NO_MARK = said("There is no earlier comparison of everything in this database to build on.")
_LOST = said("Changes could not be captured since the last time.")


def _not_captured(side: Side) -> str:
    return said("Not every change of the %(side)s store is captured.", side=word(side.value))


def _captured_anew(side: Side) -> str:
    return said("What captures changes of the %(side)s store was changed meanwhile.", side=word(side.value))


def _everything_because(migration: AnyMigration, since: Since | None) -> str:
    """A sentence that says why what was touched is not known; empty where it is."""
    if since is None:
        return _NO_MARK
    if capture.lost_total() > since.mark.lost:
        return _LOST
    stage = state.stage(migration)
    for side in Side:
        if stage not in stages.CAPTURING[side]:
            continue
        if capture.status(migration, side=side).gaps:
            return _not_captured(side)
        if capture.changed_since(migration, since.mark.seen, side=side):
            return _captured_anew(side)
    return ""


def _look_at_touched(
    journal: Journal, since: Since, legacy: RowStore[Any, Any], modern: Store[Any, Any], progress: Progress
) -> None:
    touched.gather(journal, since)
    failpoint(GATHERED)

    def compare_touched(span: Span, limit: int) -> Chunk:
        keys = touched.keys_after(journal, str(span.after or ""), limit)
        readable = [key for key in keys if _names_a_document(journal.migration, key)]
        looked = look(journal.migration, legacy, modern, readable)
        tally = Tally(legacy_rows=looked.rows, rows_quarantined=looked.quarantined)
        suspects: dict[Any, Kind] = {}
        for encoded, seen in looked.seen.items():
            if seen.verdict.kind.is_difference:
                suspects[journal.migration.decode_key(encoded)] = seen.verdict.kind
            elif seen.verdict.tally is not None:
                tally.add(seen.verdict.tally)
        return Chunk(keys[-1] if len(keys) == limit else None, tally, suspects, looked.rejections)

    make_pass(journal, legacy, TOUCHED_PASS, compare_touched, progress)


def _names_a_document(migration: AnyMigration, key: str) -> bool:
    """Whether this is a key at all; of what else somebody wrote onto the dirty list the applier says so."""
    try:
        migration.decode_key(key)
    except ValueError:
        return False
    return True


def _drift(
    journal: Journal,
    since: Since | None,
    because: str,
    sample: int,
    reasons: tuple[str, ...],
    strays: tuple[Stray, ...] = (),
) -> Drift:
    tally = journal.tally()
    noted = TouchedKey.objects.filter(run=journal.run).count()
    return Drift(
        migration=journal.migration,
        run=journal.run,
        complete=not reasons,
        tally=tally,
        reasons=reasons,
        sample=sample,
        seconds=journal.run.worked_seconds,
        quarantine_open=quarantine_open(journal),
        unrecorded=dict(journal.unrecorded),
        strays=strays,
        touched=tally.compared if because else noted,
        since=since,
        everything_because=because,
    )
