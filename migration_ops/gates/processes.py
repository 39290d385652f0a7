"""The gate that wants every process that serves families to write to both stores, by the same rules."""

from __future__ import annotations

from collections.abc import Sequence

from migration_ops.definition import AnyMigration
from migration_ops.gates.gate import Gate, Verdict
from migration_ops.gates.wording import duration
from migration_ops.observe import heartbeat
from migration_ops.observe import processes as serving
from migration_ops.observe.heartbeat import Role
from migration_ops.observe.processes import Process
from migration_ops.sentence import Sentence, joined, said, said_many
from migration_ops.sync.version import sync_version

NAMED = 5
"""So many processes are named; the others are counted."""


def processes(migration: AnyMigration) -> Gate:
    """Every web and worker process that was heard of lately writes to both stores, and runs this very sync code.

    Where none was heard of the gate is open: there is nobody who would not, and a write past the app is captured. One
    that ended counts until it has been silent for long enough, which the sentence says.
    """
    found = serving.alive(migration)
    pinned = [process for process in found if not process.dual_writes]
    strangers = [process for process in found if process.dual_writes and process.sync != sync_version()]
    sentences = []
    if pinned:
        sentences.append(
            said(
                "Not writing to both stores, because `DUAL_WRITE` keeps them from it: %(names)s. Unset it and restart"
                " them.",
                names=_names(pinned),
            )
        )
    if strangers:
        sentences.append(
            said("Running another version of the sync code: %(names)s. Restart them.", names=_names(strangers))
        )
    bad = len(pinned) + len(strangers)
    return Gate(
        id="processes",
        verdict=Verdict.FAIL if bad else Verdict.PASS,
        message=joined([*sentences, _patience()]) if bad else _good(found),
        value=bad,
        n=len(found),
        k=bad,
        threshold=0,
        age=max((process.age for process in found), default=None),
    )


def _good(found: Sequence[Process]) -> Sentence:
    if found:
        return said_many(
            "%(n)s web or worker process runs; it writes to both stores, with this version of the sync code.",
            "All %(n)s web and worker processes write to both stores, with the same version of the sync code.",
            len(found),
            n=str(len(found)),
        )
    return said("No web or worker process was heard of in the last %(time)s.", time=_longest())


def _patience() -> Sentence:
    return said("A process that was stopped counts for %(time)s more.", time=_longest())


def _longest() -> Sentence:
    return duration(heartbeat.longest_silence(Role.WEB))


def _names(found: Sequence[Process]) -> str:
    names = ", ".join(process.name for process in found[:NAMED])
    if len(found) <= NAMED:
        return names
    return said("%(names)s and %(more)s more", names=names, more=str(len(found) - NAMED))
