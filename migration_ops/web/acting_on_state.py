"""Acts on where a migration stands: nothing is done but at the version of the state that was looked at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _

from migration_ops import state
from migration_ops.definition import AnyMigration
from migration_ops.exceptions import GateClosed, MigrationOpsError, ReasonMissing
from migration_ops.gates import Gate, overrides
from migration_ops.rollout import forward
from migration_ops.rollout.control import Change
from migration_ops.state import State
from migration_ops.web import gate_views, sentences, wording
from migration_ops.web.acting import Acting, Answer, Pressed
from migration_ops.web.actions import Action
from migration_ops.web.forms import ActionForm

OVERRIDE = "migration_ops.override_migration"


class ActingOnState(Acting):
    """A button of the control room. Closed gates are shown, and may be vouched for."""

    template = "migration_ops/state_action.html"

    def __init__(self, action: Action) -> None:
        self.action = action
        self.verb, self.codename, self.tone = action.verb, action.codename, action.tone
        self.label, self.explanation = action.label, action.explanation

    def form(self, migration: AnyMigration, request: HttpRequest) -> ActionForm:
        return self.action.form(request.POST, now=state.read(migration))

    def look(self, pressed: Pressed) -> Answer:
        now = state.read(pressed.migration)
        change = self._run(pressed, dry_run=True, version=now.version)
        changes = sentences.changes(change)
        return Answer(
            sentence=sentences.would(self.action, change),
            changes=changes,
            basis=str(now.version),
            possible=bool(changes) or self.verb == sentences.VOUCHING,
            gates=change.gates,
        )

    def act(self, pressed: Pressed, basis: str) -> Answer:
        change = self._run(pressed, dry_run=False, version=int(basis))
        return Answer(sentence=sentences.done(pressed.migration, self.action, change))

    def home(self, pressed: Pressed) -> str:
        return reverse("admin:migration_ops_dashboard_room", args=[pressed.migration.name])

    def basis(self, migration: AnyMigration) -> str:
        return str(state.read(migration).version)

    def is_basis(self, said: str) -> bool:
        try:
            int(said)
        except ValueError:
            return False
        return True

    def refused(self, pressed: Pressed, error: MigrationOpsError) -> Answer:
        answer = super().refused(pressed, error)
        if isinstance(error, ReasonMissing):
            field = pressed.form.fields["reason"].label
            answer.refusal = _("Say in the field “%(field)s” why you vouch.") % {"field": field}
        if isinstance(error, GateClosed):
            answer.gates = tuple(gate for gate in error.gates if isinstance(gate, Gate))
            answer.refusal = answer.refusal.partition("\n")[0]
        return answer

    def more(self, pressed: Pressed, answer: Answer) -> Mapping[str, Any]:
        impossible = not answer.sentence
        may_vouch = self.action.can_vouch and impossible and bool(pressed.request.user.has_perm(OVERRIDE))
        beyond = _beyond_vouching(state.read(pressed.migration), answer)
        if beyond and (may_vouch or self.verb == sentences.VOUCHING):
            gates = ", ".join(str(wording.GATES.get(gate_id, gate_id)) for gate_id in beyond)
            answer.notes.append(_("Nobody can vouch for these, they are about the data: %(gates)s.") % {"gates": gates})
        return {
            "gates": [gate_views.gate(gate) for gate in sorted(answer.gates, key=lambda gate: gate.is_open)],
            "vouching": "override" in pressed.request.POST,
            "can_vouch": may_vouch and bool(answer.gates) and not beyond,
        }

    def _run(self, pressed: Pressed, *, dry_run: bool, version: int) -> Change:
        how: dict[str, Any] = {**pressed.said, "dry_run": dry_run, "version": version}
        if self.action.can_vouch and "override" in pressed.request.POST:
            if not pressed.request.user.has_perm(OVERRIDE):
                raise PermissionDenied
            how["override"] = True
        return self.action.run(pressed.migration, values=pressed.form.values, **how)


def _beyond_vouching(now: State, answer: Answer) -> list[str]:
    """Closed gates that nobody can vouch for."""
    following = forward.following(now)
    exposes = following is not None and following.exposes
    return [
        gate.id for gate in answer.gates if not gate.is_open and not overrides.may_be_waived(gate.id, exposes=exposes)
    ]
