"""Acts on the run of one kind: nothing is done but to the run that was looked at, as it stood then."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from migration_ops import run_listing, runs
from migration_ops.backfill.progress import Progress
from migration_ops.definition import AnyMigration
from migration_ops.models import RunKind
from migration_ops.run_listing import AtHand
from migration_ops.web.acting import Answer, Pressed
from migration_ops.web.acting_on_page import ActingOnPage
from migration_ops.web.shapes import grouped

PERMISSIONS: Mapping[RunKind, str] = {
    RunKind.BACKFILL: "migration_ops.backfill_migration",
    RunKind.VALIDATION: "migration_ops.validate_migration",
    RunKind.REHEARSAL: "migration_ops.backfill_migration",
}
"""What acting on a run of each kind needs; nobody acts on runs of other kinds."""


class ActingOnRun(ActingOnPage):
    """A button of one run. Its basis is what `runs.seen` says, so that progress alone changes nothing.

    Attributes:
        what: end of its verb.
    """

    template = "migration_ops/run_action.html"
    page: ClassVar[str] = "runs"
    what: ClassVar[str]

    def __init__(self, kind: RunKind) -> None:
        self.kind = kind
        self.verb, self.codename = f"{kind}-{self.what}", PERMISSIONS[kind]

    @property
    def page_title(self) -> str:
        return _("Runs")

    def basis(self, migration: AnyMigration) -> str:
        return runs.seen(runs.standing(migration, self.kind))

    @abstractmethod
    def offered(self, at_hand: AtHand | None) -> bool:
        """Whether it makes sense for this run, which is of its kind; None where none is under way."""

    @abstractmethod
    def would(self, pressed: Pressed, at_hand: AtHand | None) -> Answer:
        """What it would do with this run."""

    def look(self, pressed: Pressed) -> Answer:
        run = runs.unfinished(pressed.migration, self.kind)
        at_hand = None if run is None or run.ended_at else run_listing.look(pressed.migration, run)
        answer = Answer(sentence=_("Nothing to do: the run is not as it was any more."))
        if self.offered(at_hand):
            answer = self.would(pressed, at_hand)
            answer.possible = True
        answer.basis = self.basis(pressed.migration)
        return answer


class ActingOnUnfinished(ActingOnRun):
    """A button of a run that is under way."""

    @abstractmethod
    def fits(self, at_hand: AtHand) -> bool:
        """Whether it makes sense for this run."""

    @abstractmethod
    def says(self, at_hand: AtHand) -> str:
        """What it would do, of `%(run)s` and `%(progress)s`."""

    def offered(self, at_hand: AtHand | None) -> bool:
        return at_hand is not None and self.fits(at_hand)

    def would(self, pressed: Pressed, at_hand: AtHand | None) -> Answer:
        if at_hand is None:
            return Answer()
        said = {"run": at_hand.run.pk, "progress": progress_said(at_hand.progress)}
        return Answer(sentence=self.says(at_hand) % said)


def progress_said(progress: Progress) -> str:
    """`1,200 of about 5,000 rows`, as far as that is known."""
    rows = progress.counters.rows_read
    if progress.total is None:
        return ngettext("%(rows)s row", "%(rows)s rows", rows) % {"rows": grouped(rows)}
    return ngettext("%(rows)s of about %(total)s row", "%(rows)s of about %(total)s rows", progress.total) % {
        "rows": grouped(rows),
        "total": grouped(progress.total),
    }
