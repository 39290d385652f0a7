"""One run: sends the traffic, keeps the ledger, lets the stores come to rest, and looks whether all of it is there."""

from __future__ import annotations

import gc
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

from django.conf import settings
from django.db import transaction

from habits.board import BoardKey
from habits.migration import boards as migration
from habits.traffic import families, sources
from habits.traffic.check import Checked, Finding, compare
from habits.traffic.drivers import Answer, Driver, Failed, InProcess, LineMissing
from habits.traffic.families import Family
from habits.traffic.ledger import Ledger, Line
from habits.traffic.open_loop import send_all
from habits.traffic.over_http import OverHttp
from habits.traffic.report import Report, Tally
from habits.traffic.schedule import Arrival, Kind, Profile, arrivals
from migration_ops import state
from migration_ops.backfill.stop import Stop
from migration_ops.definition import Side
from migration_ops.exceptions import UnusableInput
from migration_ops.models import QuarantineItem, QuarantineStatus
from migration_ops.stages import SYNCED, Stage
from migration_ops.sync import applier, dirty
from migration_ops.verify.snapshot import snapshot

MOST_LINES = 40
"""So many lines are added to a board at most; further additions set cells instead."""

GRACE = timedelta(seconds=5)
"""For so long after its end a run still sends what is late."""

_PAUSE = 0.2


@contextmanager
def _unhindered() -> Iterator[None]:
    """As in a web process, the garbage collector does not look at what was loaded before: for 75 ms nothing would be
    answered, and that would be taken for the time of a request."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


class Run:
    """The traffic of some families against one driver.

    Args:
        ledger: takes down what is asked for.
    """

    def __init__(self, driver: Driver, whose: Sequence[Family], ledger: Ledger) -> None:
        self.ledger = ledger
        self.tally = Tally()
        self._driver = driver
        self._families = whose
        self._lock = threading.Lock()

    def send(self, profile: Profile, *, threads: int, stop: Stop) -> float:
        """Send everything, or as much as can be until it is told to stop; how many seconds it took."""
        with _unhindered():
            return send_all(
                arrivals(profile, [len(each.boards) for each in self._families]),
                self._one,
                threads=threads,
                longest=profile.seconds + GRACE.total_seconds(),
                stop=stop,
                end_thread=self._driver.close,
            )

    def _one(self, arrival: Arrival, elapsed: Callable[[], float]) -> None:
        try:
            answer = self._write(arrival) if arrival.kind.writes else self._read(arrival)
        except Failed as failure:
            with self._lock:
                self.tally.failed[failure.reason] += 1
            return
        seconds = elapsed()
        with self._lock:
            self.tally.served[answer.served] += 1
            if arrival.kind.writes:
                self.tally.writes += 1
                if answer.outcome:
                    self.tally.outcomes[answer.outcome] += 1
                self.tally.write_times.seconds.append(seconds)
            else:
                self.tally.reads += 1
                self.tally.read_times.seconds.append(seconds)

    def _read(self, arrival: Arrival) -> Answer:
        key = self._families[arrival.family].boards[arrival.board]
        if arrival.kind is Kind.WEEKS:
            return self._driver.weeks(key)
        if arrival.kind is Kind.CHILDREN:
            return self._driver.children(key.owner)
        begun = time.monotonic()
        answer = self._driver.board(key)
        if self.ledger.stale(key, answer.seen or [], begun, time.monotonic()):
            self._count_stale_read()
        return answer

    def _write(self, arrival: Arrival) -> Answer:
        key = self._families[arrival.family].boards[arrival.board]
        lines = self.ledger.on_board(key)
        known = [line for line in lines if line.added.ended is not None]
        if known and (arrival.kind is Kind.MARK or len(lines) >= MOST_LINES):
            name = known[arrival.number % len(known)].added.name
            write = self.ledger.mark(name, arrival.day, arrival.status)
            call = partial(self._driver.mark, key, name, arrival.day, arrival.status)
        else:
            write = self.ledger.append(key)
            call = partial(self._driver.append, key, write.name)
        try:
            answer = call()
        except LineMissing:
            self.ledger.refuse(write)
            self._count_stale_read()
            raise Failed("LineMissing") from None
        self.ledger.acknowledge(write)
        return answer

    def _count_stale_read(self) -> None:
        with self._lock:
            self.tally.stale_reads += 1


def new_run() -> str:
    """A name for a run that no other has."""
    return secrets.token_hex(4)


def ledger_file(run: str) -> Path:
    """Where the ledger of this run is written down."""
    return Path(settings.VAR_DIR) / "traffic" / f"{run}.jsonl"


def proven(report: Report, ledger: Ledger, *, file: Path, keep: bool, settle: timedelta) -> None:
    """Check the ledger, and where nothing is wrong leave no trace of the run, unless it is to be kept.

    Args:
        settle: for so long the stores may take to come to rest.
    """
    report.run = ledger.run
    report.checked = check(ledger, settle=settle)
    if keep or report.different:
        report.ledger = file
        return
    report.left = clean(ledger)
    if report.left:
        report.ledger = file
    else:
        file.unlink(missing_ok=True)


def check(ledger: Ledger, *, settle: timedelta) -> Checked:
    """Let the stores come to rest, and compare them with the ledger. What differs is looked at again for a while, for
    others may be writing."""
    lines = ledger.lines()
    patience = time.monotonic() + settle.total_seconds()
    while True:
        _drain()
        held = _held(lines)
        findings = _compared(ledger, lines, held)
        if not findings or time.monotonic() > patience:
            break
        time.sleep(_PAUSE)
    return replace(would_check(ledger), held=sum(line.key in held for line in lines), findings=findings)


def would_check(ledger: Ledger) -> Checked:
    """How many writes `check` would look for; the ledger alone is looked at."""
    writes = [write for line in ledger.lines() for write in line.writes]
    known = sum(write.ended is not None for write in writes)
    return Checked(writes=known, uncertain=len(writes) - known)


def clean(ledger: Ledger) -> int:
    """Take every line of this run off its board again; how many lines could not be."""
    driver = InProcess()
    names: dict[BoardKey, set[str]] = {}
    for line in ledger.lines():
        names.setdefault(line.key, set()).add(line.added.name)
    left = 0
    for key, mine in names.items():
        try:
            driver.remove_lines(key, mine)
        except Failed:
            left += len(mine)
    _drain()
    return left


def _compared(ledger: Ledger, lines: Sequence[Line], held: set[BoardKey]) -> list[Finding]:
    owners = {line.key.owner for line in lines}
    read = {Side.LEGACY: sources.in_legacy, Side.MODERN: sources.in_modern}
    with snapshot():
        return compare(lines, {side: read[side](owners, ledger.prefix) for side in _sides()}, held)


def _sides() -> tuple[Side, ...]:
    stage = state.stage(migration)
    if stage is Stage.OFF:
        return (Side.LEGACY,)
    return tuple(Side) if stage in SYNCED else (Side.MODERN,)


def _held(lines: Iterable[Line]) -> set[BoardKey]:
    encoded = {migration.encode_key(line.key): line.key for line in lines}
    waiting = QuarantineItem.objects.filter(
        migration=migration.name, status=QuarantineStatus.OPEN, key__in=list(encoded)
    ).values_list("key", flat=True)
    return {encoded[key] for key in waiting if key is not None}


def _drain() -> None:
    """What waits on the dirty list, whoever put it there, is carried over as `sync_changes` would."""
    if state.stage(migration) not in SYNCED:
        return
    with transaction.atomic():
        dirty.retry_now(migration)
    applier.drain(migration)


def parties(count: int, *, url: str | None, make: bool, run: str, seed: int) -> tuple[Driver, list[Family]]:
    """How requests are sent, and whose they are. Over HTTP they are those of families made here, for nobody else's
    password is known.

    Raises:
        UnusableInput: there is no family, or the web app cannot be used; what was made is gone again.
    """
    if url is None:
        return InProcess(), families.made(count, run=run) if make else families.existing(count, seed=seed)
    driver = OverHttp(url)
    password = secrets.token_urlsafe(24)
    found = families.made(count, run=run, password=password)
    try:
        driver.log_in(found, password)
    except UnusableInput:
        families.remove_made(run)
        raise
    return driver, found
