"""The names under which things are counted: whoever counts and whoever judges the counts use the same ones."""

from __future__ import annotations

from enum import StrEnum


class What(StrEnum):
    """What was done; `Metric.name`."""

    WRITE = "write"
    """A family's write, by the store it went to first; its outcomes are those of `sync.draft.Outcome`."""

    SECOND_WRITE = "second_write"
    """A second write that could only be made after the commit of the first one (`Outcome.LATER`)."""

    CARRIED_FIRST = "carried_first"
    """A change of the other store that waited when a family wrote, and could not be brought over before the write."""

    READ = "read"
    """A family's read, by the store that was asked first."""

    SHADOW_READ = "shadow_read"
    """A read that was made again in the other store and compared, by that other store."""

    PAIRED_READ = "paired_read"
    """One of the two reads of such a comparison, by store: the same documents in one snapshot, in random order. Only
    the time it took is of interest, and only where both gave an answer."""

    CHANGE = "change"
    """A change past the app that was carried over; the time is how old it was when the other store had it."""

    HEARTBEAT = "heartbeat"
    """A call of the applier to itself; the time is how long it took to be heard."""


class SecondOutcome(StrEnum):
    """What became of a second write after the commit."""

    BOTH = "both"
    """Both stores say it."""

    FAILED = "failed"
    """The follower refused or was too slow; the key is on the dirty list."""

    TAKEN = "taken"
    """The applier was faster and has it in hand; how that ends is counted as a change."""


class ReadOutcome(StrEnum):
    """How a read ended."""

    OK = "ok"
    FALLBACK = "fallback"
    """Modern failed, and legacy answered instead."""

    SPARED = "spared"
    """Modern had failed often and was left alone, and legacy answered instead."""

    ERROR = "error"
    """It failed, and nobody answered."""


class ShadowOutcome(StrEnum):
    """How the second of two reads compares with the first."""

    MATCHED = "matched"
    IGNORED = "ignored"
    """Nothing was compared, since a named rule left all of it out."""

    MISMATCHED = "mismatched"
    """They differ, also when both are read again."""

    ERROR = "error"
    """The other store gave no answer."""


class LagOutcome(StrEnum):
    """How old a change was, or a call when it was heard."""

    IN_TIME = "in_time"
    LATE = "late"
    """Older than `sync_lag_limit`."""
