"""What can be done about a run: start it, have it pause, go on, or be given up."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import ClassVar

from django.http import HttpRequest
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from migration_ops import run_requests, runs
from migration_ops.backfill import background, rehearsals, service
from migration_ops.backfill.background import Woken
from migration_ops.backfill.opening import prospect
from migration_ops.backfill.request import Request
from migration_ops.definition import AnyMigration
from migration_ops.models import Run, RunKind, RunStatus
from migration_ops.run_listing import AtHand
from migration_ops.verify import background as verification
from migration_ops.web import rehearsal_view, wording
from migration_ops.web.acting import Answer, Pressed
from migration_ops.web.acting_on_run import ActingOnRun, ActingOnUnfinished
from migration_ops.web.forms import ReasonForm
from migration_ops.web.run_forms import WorkersForm
from migration_ops.web.shapes import grouped
from migration_ops.web.wording import Text

REHEARSING = timedelta(seconds=1)
"""How long a look before a backfill reads; a dry run of everything has no place in a request."""


class _Asking(ActingOnUnfinished):
    asked: ClassVar[str]

    def fits(self, at_hand: AtHand) -> bool:
        run = at_hand.run
        hears = self.kind is RunKind.BACKFILL or run.queued or not at_hand.holders
        return hears and (run.requested != self.asked or at_hand.is_abandoned)

    def act(self, pressed: Pressed, basis: str) -> Answer:
        run = run_requests.ask(pressed.migration, self.kind, self.asked, **pressed.said, as_seen=basis)
        return Answer(sentence=self.done(run))

    @abstractmethod
    def done(self, run: Run) -> str: ...


class _Pausing(_Asking):
    what, asked, tone = "pause", run_requests.PAUSE, "calm"
    label: Promise = gettext_lazy("Pause")
    explanation: Promise = gettext_lazy(
        "It stops after the batch at hand, and goes on from there when somebody says so."
    )

    def fits(self, at_hand: AtHand) -> bool:
        return at_hand.run.status == RunStatus.RUNNING and not at_hand.run.requested and super().fits(at_hand)

    def says(self, at_hand: AtHand) -> str:
        return _("Would ask run %(run)s to pause; it is at %(progress)s.")

    def done(self, run: Run) -> str:
        if run.status == RunStatus.PAUSED:
            return _("Run %(run)s is paused.") % {"run": run.pk}
        return _("Run %(run)s is asked to pause, and does after the batch at hand.") % {"run": run.pk}


class _Cancelling(_Asking):
    what, asked, tone = "cancel", run_requests.CANCEL, "danger"
    label: Promise = gettext_lazy("Give up")
    explanation: Promise = gettext_lazy("It ends after the batch at hand, and cannot go on. What it has written stays.")

    def says(self, at_hand: AtHand) -> str:
        return _("Would give run %(run)s up; it is at %(progress)s.")

    def done(self, run: Run) -> str:
        if run.status == RunStatus.CANCELLED:
            return _("Run %(run)s is given up.") % {"run": run.pk}
        return _("Run %(run)s is asked to end, and does after the batch at hand.") % {"run": run.pk}


_STARTS: Mapping[RunKind, Text] = {
    RunKind.BACKFILL: gettext_lazy("Start a backfill"),
    RunKind.VALIDATION: gettext_lazy("Start a validation"),
    RunKind.REHEARSAL: gettext_lazy("Dry run of everything"),
}

_WOULD: Mapping[RunKind, Text] = {
    RunKind.VALIDATION: gettext_lazy("Would compare everything in both stores. Neither is changed by it."),
    RunKind.REHEARSAL: gettext_lazy("Would read everything, and count what a backfill would do. Nothing is changed."),
}

_BEGIN: Mapping[RunKind, Callable[..., tuple[Run, Woken]]] = {
    RunKind.VALIDATION: verification.start,
    RunKind.REHEARSAL: rehearsals.start,
}


class _Beginning(ActingOnRun):
    """Leaves a run to the workers of the queue."""

    tone = "forward"

    @abstractmethod
    def request(self, pressed: Pressed, run: Run | None, basis: str) -> Request:
        """The backfill as it is wanted."""

    @abstractmethod
    def done(self) -> str:
        """What was done with `%(run)s`."""

    def act(self, pressed: Pressed, basis: str) -> Answer:
        migration, run = pressed.migration, runs.unfinished(pressed.migration, self.kind)
        if self.kind is RunKind.BACKFILL:
            found = background.start(migration, self.request(pressed, run, basis)).data
            number, problem = found["run"], found["problem"]
        else:
            taken, woken = _BEGIN[self.kind](migration, **pressed.said, as_seen=basis)
            number, problem = taken.pk, background.problem(migration, woken)
        notes = [wording.translated(problem)] if problem else []
        return Answer(sentence=self.done() % {"run": number}, notes=notes)


class _Starting(_Beginning):
    what = "start"
    explanation: Promise = gettext_lazy("Workers of the queue do it. You may close this page meanwhile.")

    @property
    def label(self) -> Text:  # type: ignore[override]  # by kind
        return _STARTS[self.kind]

    def form(self, migration: AnyMigration, request: HttpRequest) -> ReasonForm:
        return WorkersForm(request.POST) if self.kind is RunKind.BACKFILL else super().form(migration, request)

    def offered(self, at_hand: AtHand | None) -> bool:
        return at_hand is None or not (at_hand.can_go_on or at_hand.holders)

    def would(self, pressed: Pressed, at_hand: AtHand | None) -> Answer:
        if self.kind is not RunKind.BACKFILL:
            return Answer(sentence=str(_WOULD[self.kind]))
        ahead = prospect(pressed.migration, self.request(pressed, None, ""))
        notes = []
        if ahead.given_up is not None:
            sentence = _("Run %(run)s cannot go on, because capture was off since; it is given up.")
            notes.append(sentence % {"run": ahead.given_up.pk})
        rehearsed = service.rehearse_a_piece(pressed.migration, None, within=REHEARSING)
        sentence = _("Would begin a new backfill.")
        if rehearsed.expected is not None:
            rows = {"rows": grouped(rehearsed.expected)}
            sentence = _("Would begin a new backfill, of about %(rows)s rows.") % rows
        return Answer(
            sentence=sentence,
            notes=notes,
            shown=[*rehearsal_view.piece(rehearsed), *rehearsal_view.whole(pressed.migration)],
        )

    def done(self) -> str:
        return _("Run %(run)s is started in the background.")

    def request(self, pressed: Pressed, run: Run | None, basis: str) -> Request:
        workers = pressed.form.values["workers"]
        return Request(
            actor=pressed.said["actor"], reason=pressed.said["reason"], workers=workers, queued=True, as_seen=basis
        )


class _Resuming(ActingOnUnfinished, _Beginning):
    what = "resume"
    label: Promise = gettext_lazy("Go on")
    explanation: Promise = gettext_lazy(
        "Workers of the queue go on where it stopped. You may close this page meanwhile."
    )

    def fits(self, at_hand: AtHand) -> bool:
        return at_hand.can_go_on and (at_hand.run.status == RunStatus.PAUSED or at_hand.is_abandoned)

    def would(self, pressed: Pressed, at_hand: AtHand | None) -> Answer:
        answer = super().would(pressed, at_hand)
        if self.kind is RunKind.BACKFILL and at_hand is not None:
            ahead = prospect(pressed.migration, self.request(pressed, at_hand.run, ""))
            answer.shown = rehearsal_view.piece(
                service.rehearse_a_piece(pressed.migration, ahead.resumed, within=REHEARSING), goes_on=True
            )
        return answer

    def says(self, at_hand: AtHand) -> str:
        return _("Would go on with run %(run)s at %(progress)s.")

    def done(self) -> str:
        return _("Run %(run)s goes on in the background.")

    def request(self, pressed: Pressed, run: Run | None, basis: str) -> Request:
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

    def fits(self, at_hand: AtHand) -> bool:
        return at_hand.can_go_on and at_hand.run.status == RunStatus.FAILED


RUN_ACTIONS: tuple[ActingOnRun, ...] = (
    *(
        action(kind)
        for kind in (RunKind.BACKFILL, RunKind.VALIDATION)
        for action in (_Starting, _Resuming, _Retrying, _Pausing, _Cancelling)
    ),
    _Starting(RunKind.REHEARSAL),
    _Cancelling(RunKind.REHEARSAL),
)
