"""What can be done about a run: have it pause, go on, or be given up."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from django.http import HttpRequest
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from migration_ops import run_listing, runs
from migration_ops.backfill import background
from migration_ops.backfill.opening import prospect
from migration_ops.backfill.progress import Progress
from migration_ops.backfill.request import Request
from migration_ops.definition import AnyMigration
from migration_ops.models import Run, RunKind, RunStatus
from migration_ops.run_listing import AtHand
from migration_ops.verify import background as verification
from migration_ops.web import wording
from migration_ops.web.acting import Answer, Pressed
from migration_ops.web.acting_on_page import ActingOnPage
from migration_ops.web.forms import ReasonForm
from migration_ops.web.shapes import grouped

PERMISSIONS: Mapping[RunKind, str] = {
    RunKind.BACKFILL: "migration_ops.backfill_migration",
    RunKind.VALIDATION: "migration_ops.validate_migration",
}
"""What acting on a run of each kind needs; nobody acts on runs of other kinds."""


class ActingOnRun(ActingOnPage):
    """A button of one run. Its basis is what `runs.seen` says, so that progress alone changes nothing.

    Attributes:
        what: end of its verb.
    """

    page: ClassVar[str] = "runs"
    what: ClassVar[str]

    def __init__(self, kind: RunKind) -> None:
        self.kind = kind
        self.verb, self.codename = f"{kind}-{self.what}", PERMISSIONS[kind]

    @property
    def page_title(self) -> str:
        return _("Runs")

    def form(self, migration: AnyMigration, request: HttpRequest) -> ReasonForm:
        return ReasonForm(request.POST)

    def basis(self, migration: AnyMigration) -> str:
        return runs.seen(runs.standing(migration, self.kind))

    @abstractmethod
    def offered(self, at_hand: AtHand) -> bool:
        """Whether it makes sense for this run, which is of its kind."""

    @abstractmethod
    def would(self, pressed: Pressed, at_hand: AtHand) -> str:
        """What it would do with this run."""

    def look(self, pressed: Pressed) -> Answer:
        run = runs.unfinished(pressed.migration, self.kind)
        answer = Answer(basis=self.basis(pressed.migration))
        at_hand = None if run is None else run_listing.look(pressed.migration, run)
        if at_hand is None or not self.offered(at_hand):
            answer.sentence = _("Nothing to do: the run is not as it was any more.")
            return answer
        answer.sentence, answer.possible = self.would(pressed, at_hand), True
        return answer


class _Asking(ActingOnRun):
    asked: ClassVar[str]

    def offered(self, at_hand: AtHand) -> bool:
        run = at_hand.run
        hears = self.kind is RunKind.BACKFILL or run.queued or not at_hand.holders
        return hears and (run.requested != self.asked or at_hand.is_abandoned)

    def act(self, pressed: Pressed, basis: str) -> Answer:
        run = runs.ask(pressed.migration, self.kind, self.asked, **pressed.said, as_seen=basis)
        return Answer(sentence=self.done(run))

    @abstractmethod
    def done(self, run: Run) -> str: ...


class _Pausing(_Asking):
    what, asked, tone = "pause", runs.PAUSE, "calm"
    label: Promise = gettext_lazy("Pause")
    explanation: Promise = gettext_lazy(
        "It stops after the batch at hand, and goes on from there when somebody says so."
    )

    def offered(self, at_hand: AtHand) -> bool:
        return at_hand.run.status == RunStatus.RUNNING and not at_hand.run.requested and super().offered(at_hand)

    def would(self, pressed: Pressed, at_hand: AtHand) -> str:
        said = {"run": at_hand.run.pk, "progress": progress_said(at_hand.progress)}
        return _("Would ask run %(run)s to pause; it is at %(progress)s.") % said

    def done(self, run: Run) -> str:
        if run.status == RunStatus.PAUSED:
            return _("Run %(run)s is paused.") % {"run": run.pk}
        return _("Run %(run)s is asked to pause, and does after the batch at hand.") % {"run": run.pk}


class _Cancelling(_Asking):
    what, asked, tone = "cancel", runs.CANCEL, "danger"
    label: Promise = gettext_lazy("Give up")
    explanation: Promise = gettext_lazy("It ends after the batch at hand, and cannot go on. What it has written stays.")

    def would(self, pressed: Pressed, at_hand: AtHand) -> str:
        said = {"run": at_hand.run.pk, "progress": progress_said(at_hand.progress)}
        return _("Would give run %(run)s up; it is at %(progress)s.") % said

    def done(self, run: Run) -> str:
        if run.status == RunStatus.CANCELLED:
            return _("Run %(run)s is given up.") % {"run": run.pk}
        return _("Run %(run)s is asked to end, and does after the batch at hand.") % {"run": run.pk}


class _Resuming(ActingOnRun):
    what, tone = "resume", "forward"
    label: Promise = gettext_lazy("Go on")
    explanation: Promise = gettext_lazy(
        "Workers of the queue go on where it stopped. You may close this page meanwhile."
    )

    def offered(self, at_hand: AtHand) -> bool:
        return at_hand.can_go_on and (at_hand.run.status == RunStatus.PAUSED or at_hand.is_abandoned)

    def would(self, pressed: Pressed, at_hand: AtHand) -> str:
        if self.kind is RunKind.BACKFILL:
            prospect(pressed.migration, self._request(pressed, at_hand.run))
        said = {"run": at_hand.run.pk, "progress": progress_said(at_hand.progress)}
        return _("Would go on with run %(run)s at %(progress)s.") % said

    def act(self, pressed: Pressed, basis: str) -> Answer:
        migration, run = pressed.migration, runs.unfinished(pressed.migration, self.kind)
        if self.kind is RunKind.BACKFILL:
            found = background.start(migration, self._request(pressed, run, basis)).data
            number, problem = found["run"], found["problem"]
        else:
            taken, woken = verification.start(migration, **pressed.said, as_seen=basis)
            number, problem = taken.pk, background.problem(migration, woken)
        notes = [wording.translated(problem)] if problem else []
        return Answer(sentence=_("Run %(run)s goes on in the background.") % {"run": number}, notes=notes)

    def _request(self, pressed: Pressed, run: Run | None, basis: str = "") -> Request:
        """With as many workers, and batches as large, as it was started with."""
        options = {} if run is None else run.options
        return Request(
            actor=pressed.said["actor"],
            reason=pressed.said["reason"],
            workers=options.get("workers", 1),
            batch_size=options.get("batch_size"),
            resume_only=True,
            queued=True,
            as_seen=basis,
        )


class _Retrying(_Resuming):
    what = "retry"
    label: Promise = gettext_lazy("Try again")

    def offered(self, at_hand: AtHand) -> bool:
        return at_hand.can_go_on and at_hand.run.status == RunStatus.FAILED


RUN_ACTIONS: tuple[ActingOnRun, ...] = tuple(
    action(kind) for kind in PERMISSIONS for action in (_Resuming, _Retrying, _Pausing, _Cancelling)
)


def progress_said(progress: Progress) -> str:
    """`1,200 of about 5,000 rows`, as far as that is known."""
    rows = progress.counters.rows_read
    if progress.total is None:
        return ngettext("%(rows)s row", "%(rows)s rows", rows) % {"rows": grouped(rows)}
    return ngettext("%(rows)s of about %(total)s row", "%(rows)s of about %(total)s rows", progress.total) % {
        "rows": grouped(rows),
        "total": grouped(progress.total),
    }
