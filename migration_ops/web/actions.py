"""What can be done to a migration in the control room, as data: the buttons, addresses and permissions follow from it.

Each action calls the service that the command of the same name calls.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from django.utils.translation import gettext_lazy as _

from migration_ops import stages, transitions
from migration_ops.definition import AnyMigration
from migration_ops.rollout import control, forward
from migration_ops.rollout.control import Canaries, Change
from migration_ops.stages import Stage
from migration_ops.state import State
from migration_ops.web.forms import ActionForm, BackForm, CanaryForm, PercentForm, ReasonNeeded
from migration_ops.web.wording import Text


class _Service(Protocol):
    def __call__(self, migration: AnyMigration, *, values: Mapping[str, Any], **said: Any) -> Change: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One button.

    Attributes:
        verb: part of its address.
        permission: the verb of `models.state.VERBS` that it needs.
        label: what stands on it.
        explanation: what it does, in a sentence.
        offered: whether it makes sense where the migration stands.
        run: does it, or with `dry_run` says what it would do.
        form: what has to be known.
        tone: `forward`, `calm` or `danger`.
        can_vouch: whether closed gates can be vouched for in the same step.
    """

    verb: str
    permission: str
    label: Text
    explanation: Text
    offered: Callable[[State], bool]
    run: _Service
    form: type[ActionForm] = ActionForm
    tone: str = "calm"
    can_vouch: bool = False

    @property
    def codename(self) -> str:
        return f"migration_ops.{self.permission}_migration"

    @property
    def url_name(self) -> str:
        return f"migration_ops_dashboard_{self.verb}"


def _plain(service: Callable[..., Change]) -> _Service:
    def run(migration: AnyMigration, *, values: Mapping[str, Any], **said: Any) -> Change:
        return service(migration, **values, **said)

    return run


def _back(migration: AnyMigration, *, values: Mapping[str, Any], **said: Any) -> Change:
    step = transitions.back(migration, Stage(values["stage"]), **said)
    return Change(step.before, step.after)


def _set(migration: AnyMigration, *, values: Mapping[str, Any], **said: Any) -> Change:
    return control.set_percent(migration, values["percent"], **said)


def _canary(migration: AnyMigration, *, values: Mapping[str, Any], **said: Any) -> Change:
    return control.canary(migration, Canaries(**values), **said)


def _is_forward_here(now: State) -> bool:
    following = forward.following(now)
    return following is not None and following.stage.position <= Stage.LIVE.position


def _has_canaries(now: State) -> bool:
    return bool(now.canary_header or now.canary_cookie or now.canary_percent or now.named)


def _serves_modern(now: State) -> bool:
    return now.stage in (Stage.RAMP, Stage.LIVE)


ACTIONS: tuple[Action, ...] = (
    Action(
        verb="kill",
        permission="kill",
        label=_("Kill"),
        explanation=_("All reads go to legacy at once, in every process; the percentage stays as it is."),
        offered=lambda now: not now.kill and Stage.OFF.position < now.stage.position <= Stage.LIVE.position,
        run=_plain(control.kill),
        tone="danger",
    ),
    Action(
        verb="rollback",
        permission="rollback",
        label=_("Roll back"),
        explanation=_("All units read legacy again, at 0 %; nothing that was written is lost."),
        offered=_serves_modern,
        run=_plain(control.rollback),
        tone="danger",
    ),
    Action(
        verb="advance",
        permission="advance",
        label=_("Advance"),
        explanation=_("The next step, through its gates."),
        offered=_is_forward_here,
        run=_plain(control.advance),
        tone="forward",
        can_vouch=True,
    ),
    Action(
        verb="set",
        permission="advance",
        label=_("Set to a percentage"),
        explanation=_("Down at once, up through the gates and no further than the plan's next step."),
        offered=lambda now: now.stage is Stage.RAMP,
        run=_set,
        form=PercentForm,
        can_vouch=True,
    ),
    Action(
        verb="hold",
        permission="hold",
        label=_("Hold"),
        explanation=_("Nothing moves forward until somebody takes the hold off."),
        offered=lambda now: not now.hold,
        run=_plain(control.hold),
    ),
    Action(
        verb="resume",
        permission="resume",
        label=_("Take the hold off"),
        explanation=_("The migration can move forward again."),
        offered=lambda now: now.hold,
        run=_plain(control.resume),
    ),
    Action(
        verb="unkill",
        permission="unkill",
        label=_("Take the kill switch off"),
        explanation=_("Reads go again where stage and percentage say."),
        offered=lambda now: now.kill,
        run=_plain(control.unkill),
        tone="forward",
    ),
    Action(
        verb="override",
        permission="override",
        label=_("Vouch for closed gates"),
        explanation=_(
            "You vouch by name for those closed gates of the next step that are evidence, for a limited time. Nothing"
            " moves by it."
        ),
        offered=_is_forward_here,
        run=_plain(control.vouch),
        form=ReasonNeeded,
    ),
    Action(
        verb="canary",
        permission="canary",
        label=_("Canaries"),
        explanation=_("Who reads modern beside the plan: by header, by cookie, or as a share of the units."),
        offered=lambda now: now.stage in (Stage.SHADOW, Stage.RAMP),
        run=_canary,
        form=CanaryForm,
    ),
    Action(
        verb="canary-off",
        permission="canary",
        label=_("No canaries"),
        explanation=_("Nobody reads modern beside the plan any more, nobody by name either."),
        offered=_has_canaries,
        run=_plain(control.canary_off),
    ),
    Action(
        verb="back",
        permission="rollback",
        label=_("Back to an earlier stage"),
        explanation=_("Without gates. Going back to off ends capture, so that a new backfill will be needed."),
        offered=lambda now: now.stage.position <= Stage.LIVE.position and bool(stages.earlier_stages(now.stage)),
        run=_back,
        form=BackForm,
    ),
)
