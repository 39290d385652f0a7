"""What an operator asks of a backfill."""

from __future__ import annotations

from dataclasses import dataclass

from migration_ops.exceptions import UnusableInput

MOST_WORKERS = 32
MOST_ROWS = 5_000
"""Rows in a batch that an operator may ask for: a key is an advisory lock, and the server's lock table is finite."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A backfill as it is wanted.

    Attributes:
        batch_size: rows a batch; None lets it adapt.
        limit: rows after which to stop; the run then counts as a trial, not as a complete backfill.
        source: a file to read instead of the legacy store; the legacy store's own file is the legacy store.
        restart: give an unfinished run up and begin anew.
        resume_only: go on with an unfinished run or refuse; never begin one.
        queued: workers of the queue do it, at most `workers` at a time.
        as_seen: what `runs.seen` said of the run that was looked at, so that nothing else is acted on; "" for whatever
            there is.
    """

    actor: str
    reason: str = ""
    batch_size: int | None = None
    workers: int = 1
    limit: int | None = None
    source: str | None = None
    restart: bool = False
    resume_only: bool = False
    queued: bool = False
    as_seen: str = ""

    def __post_init__(self) -> None:
        if self.batch_size is not None and not 1 <= self.batch_size <= MOST_ROWS:
            raise UnusableInput(f"A batch has 1 to {MOST_ROWS} rows, not {self.batch_size}.")
        if not 1 <= self.workers <= MOST_WORKERS:
            raise UnusableInput(f"A backfill has 1 to {MOST_WORKERS} workers, not {self.workers}.")
        if self.limit is not None and self.limit < 1:
            raise UnusableInput(f"--limit needs at least one row, not {self.limit}.")
        if self.limit is not None and self.workers > 1:
            raise UnusableInput("--limit reads the first rows in order and works with one worker only.")
