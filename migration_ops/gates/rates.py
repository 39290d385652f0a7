"""The gates that hold a rate against a threshold: second writes, shadow reads and modern reads that failed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from django.db import connection
from django.db.models.functions import Now

from migration_ops import state
from migration_ops.conf import settings
from migration_ops.definition import AnyMigration, Side
from migration_ops.gates.gate import Gate, Verdict
from migration_ops.gates.proportion import gate_of
from migration_ops.gates.statistics import CLEAR, CONFIDENCE, at_once, lower, upper
from migration_ops.gates.wording import duration, number
from migration_ops.models import ReadDifference
from migration_ops.observe import totals
from migration_ops.observe.measures import ReadOutcome, SecondOutcome, ShadowOutcome, What
from migration_ops.observe.totals import Totals
from migration_ops.sentence import said, word
from migration_ops.stages import Stage
from migration_ops.sync.draft import ATTEMPTED, Outcome

_SHOWN_KEYS = 3

_COMPARED = (ShadowOutcome.MATCHED, ShadowOutcome.MISMATCHED, ShadowOutcome.ERROR)
"""Shadow reads that say something; of the others nothing was compared, since a named rule left all of it out."""

# The step with which the migration last came to this stage, however it did.
_ENTERED = """
SELECT coalesce(evidence->>'step', evidence->'after'->>'step')::bigint
  FROM migration_ops_historyentry
 WHERE migration = %s AND to_stage = %s AND from_stage <> to_stage ORDER BY id DESC LIMIT 1
"""


def dual_write_success(migration: AnyMigration) -> Gate:
    """Enough of the second writes that were attempted lately were made.

    One that could only be made after the commit counts by what became of it then; where nobody knows, as after a crash
    in between, it counts as failed. What the applier took in hand first is left out: its time is seen by `sync_lag`.
    """
    window = settings().evidence_window
    writes = totals.counted(migration, What.WRITE, within=window)
    afterwards = totals.counted(migration, What.SECOND_WRITE, within=window)
    later = writes.of(Outcome.LATER)
    taken = min(later, afterwards.of(SecondOutcome.TAKEN))
    made = writes.of(Outcome.BOTH) + min(later - taken, afterwards.of(SecondOutcome.BOTH))
    attempted = writes.of(*ATTEMPTED) - taken
    return gate_of(
        "dual_write_success",
        attempted - made,
        attempted,
        settings().write_failure_rate,
        counted=said(
            "%(k)s of %(n)s second writes of the last %(window)s failed",
            k=number(attempted - made),
            n=number(attempted),
            window=duration(window),
        ),
        advice=said("The metric `write` says by SQLSTATE why."),
        age=writes.age,
    )


def shadow_reads_clean(migration: AnyMigration) -> Gate:
    """Lately, and since shadow began, not one shadow read differed, and few enough could not be made.

    An error is a rate. A confirmed difference is none: it is a wrong document in front of somebody.
    """
    window, since = settings().evidence_window, _entered(migration, Stage.SHADOW)
    reads = totals.counted(migration, What.SHADOW_READ, within=window, since_step=since)
    differed, compared = reads.of(ShadowOutcome.MISMATCHED), reads.of(*_COMPARED)
    bad = differed + reads.of(ShadowOutcome.ERROR)
    among = {"n": number(compared), "window": duration(window)}
    gate = gate_of(
        "shadow_reads_clean",
        bad,
        compared,
        settings().read_error_rate,
        counted=said("%(k)s of %(n)s shadow reads of the last %(window)s differed or failed", k=number(bad), **among),
        advice=said("The metric `shadow_read` says by SQLSTATE why."),
        age=reads.age,
    )
    known = _differing(migration, since)
    if not (differed or known):
        return gate
    worst = max(differed, len(known))  # what differed is known at once, what was read a few seconds later
    about = {**among, "k": number(worst), "n": number(max(compared, worst)), "documents": word(migration.plural)}
    if known:
        message = said(
            "%(k)s of %(n)s shadow reads of the last %(window)s differed, also when both stores were asked again; none"
            " may: %(keys)s. Compare the %(documents)s and mend them; what was read before counts no more after"
            " `manage.py stage back --to dual_write`.",
            keys=", ".join(known[:_SHOWN_KEYS]),
            **about,
        )
    else:
        message = said(
            "%(k)s of %(n)s shadow reads of the last %(window)s differed, also when both stores were asked again; none"
            " may. Compare the %(documents)s and mend them; what was read before counts no more after"
            " `manage.py stage back --to dual_write`.",
            **about,
        )
    return replace(gate, verdict=Verdict.FAIL, message=message, threshold=0, clear=True)


def read_errors(migration: AnyMigration) -> Gate:
    """At the present step few enough modern reads failed, and no greater share of them than of legacy's."""
    step = state.read(migration).step
    served = totals.counted(migration, What.READ, step=step)
    shadow = totals.counted(migration, What.SHADOW_READ, step=step)
    modern, legacy = (_failed(served, shadow, side) for side in (Side.MODERN, Side.LEGACY))
    gate = gate_of(
        "read_errors",
        *modern,
        settings().read_error_rate,
        counted=said("%(k)s of %(n)s modern reads at this step failed", k=number(modern[0]), n=number(modern[1])),
        advice=said("The metrics `read` and `shadow_read` say by SQLSTATE why."),
        age=min((age for age in (served.age, shadow.age) if age is not None), default=None),
    )
    if gate.verdict is Verdict.FAIL or not _is_worse(modern, legacy, CONFIDENCE):
        return gate
    message = said(
        "%(k)s of %(n)s modern reads at this step failed, and %(legacy_k)s of %(legacy_n)s legacy ones: with 95 %%"
        " confidence modern fails more often. The metrics `read` and `shadow_read` say by SQLSTATE why.",
        k=number(modern[0]),
        n=number(modern[1]),
        legacy_k=number(legacy[0]),
        legacy_n=number(legacy[1]),
    )
    return replace(
        gate,
        verdict=Verdict.FAIL,
        message=message,
        threshold=legacy[0] / legacy[1],
        bound=lower(*modern),
        clear=_is_worse(modern, legacy, CLEAR),
    )


EVALUATORS: Mapping[str, Callable[[AnyMigration], Gate]] = {
    evaluator.__name__: evaluator for evaluator in (dual_write_success, shadow_reads_clean, read_errors)
}
"""Evaluators by gate id."""


def _entered(migration: AnyMigration, stage: Stage) -> int:
    with connection.cursor() as cursor:
        cursor.execute(_ENTERED, [migration.name, stage.value])
        found = cursor.fetchone()
    return int(found[0] or 0) if found else 0


def _differing(migration: AnyMigration, since: int) -> list[str]:
    """Keys that are known to differ, the latest first; written down at once, while counts may still be in memory."""
    found = ReadDifference.objects.filter(
        migration=migration.name, step__gte=since, last_seen__gte=Now() - settings().evidence_window
    )
    return list(dict.fromkeys(found.order_by("-last_seen").values_list("key", flat=True)))


def _failed(served: Totals, shadow: Totals, side: Side) -> tuple[int, int]:
    """How many reads in this store failed, be it that another answered instead, and of how many.

    Those that the breaker spared it count as well: an outage says the same to the gate with a breaker as without.
    """
    failed = served.of(ReadOutcome.ERROR, ReadOutcome.FALLBACK, ReadOutcome.SPARED, side=side)
    failed += shadow.of(ShadowOutcome.ERROR, side=side)
    return failed, served.of(side=side) + shadow.of(*_COMPARED, side=side)


def _is_worse(modern: tuple[int, int], legacy: tuple[int, int], confidence: float) -> bool:
    """Whether modern fails more often; both bounds hold at once with this confidence."""
    if not legacy[1]:
        return False
    each = at_once(confidence)
    return lower(*modern, each) > upper(*legacy, each)
