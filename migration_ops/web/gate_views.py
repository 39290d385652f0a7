"""A gate as the control room shows it."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.translation import gettext as _

from migration_ops.gates import Gate
from migration_ops.gates.figures import figures
from migration_ops.web import wording
from migration_ops.web.wording import Text


@dataclass(frozen=True, slots=True)
class GateView:
    """A gate, in the language of whoever looks."""

    id: str
    label: Text
    verdict: str
    tone: str
    sentence: str
    waived: str
    evidence: tuple[tuple[str, str], ...]


def gate(found: Gate) -> GateView:
    """The view of a gate."""
    tones = {"pass": "good", "fail": "bad", "error": "bad", "inconclusive": "unsure"}
    numbers = figures(found.as_dict())
    return GateView(
        id=found.id,
        label=wording.GATES.get(found.id, found.id),
        verdict=_("waived") if found.waived else str(wording.VERDICTS[found.verdict]),
        tone="unsure" if found.waived else tones[found.verdict.value],
        sentence=wording.translated(found.message),
        waived=wording.translated(found.waived),
        evidence=tuple((wording.translated(name), wording.translated(number)) for name, number in numbers),
    )
