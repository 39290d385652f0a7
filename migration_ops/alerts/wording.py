"""An alert in a sentence; made of nothing but the closed set that `problems` allows."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from migration_ops.alerts.problems import Found, Problem
from migration_ops.gates.wording import duration, number
from migration_ops.sentence import Sentence, said, said_many

EVENTS: Mapping[str, str] = {
    "opened": said("Problem"),
    "repeated": said("Still there"),
    "resolved": said("Resolved"),
    "test": said("Test"),
}


def sentence(found: Found) -> Sentence:
    """What is wrong, and what to do; in English, and translatable."""
    return _SENTENCES[found.problem](found)


def _n(found: Found) -> int:
    return round(found.figures.get("count", 0))


def _count(found: Found, name: str = "count") -> str:
    return number(round(found.figures.get(name, 0)))


def _age(found: Found) -> Sentence:
    return duration(found.figures.get("age_seconds", 0.0))


def _gate(found: Found) -> Sentence:
    return said(
        "Gate `%(gate)s` fails. `manage.py rollout` says what it found.",
        gate=found.subject,
    )


def _silent(found: Found) -> Sentence:
    if "age_seconds" not in found.figures:
        return said("No process with the role `%(role)s` was ever heard of. Start one.", role=found.subject)
    return said(
        "No process with the role `%(role)s` was heard of for %(age)s. Look at its log, and start it.",
        role=found.subject,
        age=_age(found),
    )


_SENTENCES: Mapping[Problem, Callable[[Found], Sentence]] = {
    Problem.GATE_FAILS: _gate,
    Problem.ROLLED_BACK: lambda found: said(
        "Reads went back to legacy by themselves (entry %(entry)s of the history). `manage.py rollout history` says"
        " why; `manage.py rollout resume` when it is mended.",
        entry=found.subject,
    ),
    Problem.DIFFERENCES: lambda found: said_many(
        "%(count)s difference between the two stores is open. `manage.py detect_drift list` shows it.",
        "%(count)s differences between the two stores are open. `manage.py detect_drift list` shows them.",
        _n(found),
        count=_count(found),
    ),
    Problem.RUN_FAILED: lambda found: said(
        "Run %(run)s has stopped by itself. The run says why; the same command goes on where it stopped.",
        run=found.subject,
    ),
    Problem.RUN_STRANDED: lambda found: said(
        "Nobody works on run %(run)s, which has not ended. The same command goes on where it stopped.",
        run=found.subject,
    ),
    Problem.SILENT: _silent,
    Problem.CAPTURE_GAPS: lambda found: said(
        "%(count)s kinds of changes past the app in the store `%(side)s` are not watched. `manage.py stage status`"
        " names them.",
        count=_count(found),
        side=found.subject,
    ),
    Problem.CAPTURE_LOST: lambda found: said_many(
        "The changes of %(count)s statement past the app were lost. Run the backfill and a full validation again.",
        "The changes of %(count)s statements past the app were lost. Run the backfill and a full validation again.",
        _n(found),
        count=_count(found),
    ),
    Problem.DIRTY_OLD: lambda found: said_many(
        "%(count)s change has waited to be carried over for %(age)s; %(failing)s was tried in vain. Is"
        " `manage.py sync_changes --follow` running?",
        "%(count)s changes wait to be carried over, the oldest for %(age)s; %(failing)s of them were tried in vain. Is"
        " `manage.py sync_changes --follow` running?",
        _n(found),
        count=_count(found),
        age=_age(found),
        failing=_count(found, "failing"),
    ),
    Problem.SECOND_WRITES_FAIL: lambda found: said(
        "%(failed)s of %(among)s second writes failed within %(age)s. The metric `write` says by SQLSTATE why.",
        failed=_count(found, "failed"),
        among=_count(found, "among"),
        age=_age(found),
    ),
    Problem.OUTBOX_FAILS: lambda found: said_many(
        "%(count)s alert could not be sent through the channel `%(channel)s`. `manage.py alerts test` says why.",
        "%(count)s alerts could not be sent through the channel `%(channel)s`. `manage.py alerts test` says why.",
        _n(found),
        count=_count(found),
        channel=found.subject,
    ),
    Problem.TEST: lambda _: said("Somebody tries whether alerts arrive. Nothing is wrong."),
}
