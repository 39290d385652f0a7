"""Where a migration stands, and what a change of it is, in few words; commands and pages say the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from migration_ops.gates.wording import percent
from migration_ops.rollout.turning import Change
from migration_ops.sentence import Sentence, joined, said, word
from migration_ops.state import State


def place(here: State) -> Sentence:
    """Everything that a change can be about: `ramp at 5 %, on hold, canaries X-Modern and by name`."""
    parts = [said("%(stage)s at %(percent)s", stage=word(here.stage), percent=percent(here.percent))]
    parts += [what for what, on in ((said("on hold"), here.hold), (said("killed"), here.kill)) if on]
    canaries = _canaries(here)
    if canaries:
        parts.append(said("canaries %(canaries)s", canaries=_all_of(canaries)))
    return joined(parts, by=", ")


def difference(change: Change) -> Sentence:
    """What differs after the change, and nothing else: `20 % → 50 %`."""
    return joined(list(_differences(change.before, change.after)) or [place(change.after)], by=", ")


def would(change: Change) -> Sentence:
    """What a dry run says."""
    if change.is_nothing:
        return _nothing(change)
    if change.named:
        return said("Would name as canaries: %(named)s; %(after)s.", **_naming(change))
    return said("Would change: %(difference)s.", difference=difference(change))


def done(change: Change) -> Sentence:
    """What was done."""
    if change.is_nothing:
        return _nothing(change)
    if change.named:
        return said("Named as canaries: %(named)s; %(after)s.", **_naming(change))
    return said("Changed: %(difference)s.", difference=difference(change))


def _nothing(change: Change) -> Sentence:
    return said("Nothing to do: %(now)s.", now=place(change.before))


def _naming(change: Change) -> dict[str, str]:
    return {"named": ", ".join(change.named), "after": place(change.after)}


def _differences(before: State, after: State) -> Iterator[str]:
    if before.stage is not after.stage:
        yield arrow(word(before.stage), word(after.stage))
    if before.percent != after.percent:
        yield arrow(percent(before.percent), percent(after.percent))
    if before.hold != after.hold:
        yield said("on hold") if after.hold else said("hold off")
    if before.kill != after.kill:
        yield said("killed") if after.kill else said("kill switch off")
    old, new = _canaries(before), _canaries(after)
    if old != new:
        yield said("canaries %(canaries)s", canaries=arrow(_all_of(old), _all_of(new)))


def arrow(before: str, after: str) -> Sentence:
    """From the one to the other."""
    return joined((before, after), by=" → ")


def _canaries(here: State) -> list[str]:
    found = [name for name in (here.canary_header, here.canary_cookie) if name]
    if here.canary_percent:
        found.append(percent(here.canary_percent))
    if here.named:
        found.append(said("by name"))
    return found


def _all_of(found: Sequence[str]) -> Sentence:
    if not found:
        return said("none")
    return joined(found, by=" + ")
