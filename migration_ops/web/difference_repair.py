"""The button that repairs differences, and what its pages say."""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from migration_ops.definition import AnyMigration, Side
from migration_ops.models import UNSETTLED
from migration_ops.verify import differences
from migration_ops.verify.differences import PlannedRepair
from migration_ops.verify.repair import Failure, Repair
from migration_ops.verify.repair_step import Action
from migration_ops.web import wording
from migration_ops.web.acting import Answer, Pressed
from migration_ops.web.acting_on_differences import SHOWN, OnDifferences, beyond, ids_of, name_of
from migration_ops.web.acting_on_rows import RowsView
from migration_ops.web.row_forms import RepairForm, RowsForm
from migration_ops.web.shapes import grouped

PATIENCE = timedelta(seconds=5)
"""How long a page goes on with further repairs; what is left then is said."""

FAILURES_SHOWN = 10


class _Repairing(OnDifferences):
    verb, codename, tone = "difference-repair", differences.REPAIR, "forward"
    label: Promise = gettext_lazy("Repair")
    explanation: Promise = gettext_lazy(
        "The store that has the word for a document is copied over the other one, each under its lock and compared once"
        " more; what stood there is kept as a before-image. What somebody changes meanwhile is left alone."
    )
    form_class: ClassVar[type[RowsForm]] = RepairForm
    statuses = UNSETTLED

    def look(self, pressed: Pressed) -> Answer:
        ids = ids_of(pressed)
        extras = pressed.form.values["delete_extras"]
        planned = differences.planned_repair(pressed.migration, ids, delete_extras=extras)
        would = planned.would
        return Answer(
            sentence=_("Would write %(saved)s and remove %(deleted)s; %(gone)s equal by now.") % _counts(would),
            shown=_steps(pressed.migration, planned),
            basis=planned.fingerprint,
            possible=would.changed + would.gone > 0,
            notes=[*beyond(pressed, ids), *_left(pressed.migration, would)],
        )

    def act(self, pressed: Pressed, basis: str) -> Answer:
        done = differences.repair(
            pressed.migration,
            ids_of(pressed),
            delete_extras=pressed.form.values["delete_extras"],
            seen=basis,
            patience=PATIENCE,
            **pressed.said,
        )
        sentence = _("Written: %(saved)s, removed: %(deleted)s, equal by now: %(gone)s.") % _counts(done)
        return Answer(sentence=sentence, notes=_left(pressed.migration, done))


REPAIR = _Repairing()


_DOES = {
    (Action.SAVE, Side.LEGACY): gettext_lazy("write it into legacy"),
    (Action.SAVE, Side.MODERN): gettext_lazy("write it into modern"),
    (Action.DELETE, Side.LEGACY): gettext_lazy("remove it from legacy"),
    (Action.DELETE, Side.MODERN): gettext_lazy("remove it from modern"),
}

_LEAVES = {
    Action.KEEP: gettext_lazy("keep it: the other store does not have it"),
    Action.NOTHING: gettext_lazy("nothing: it is equal by now"),
}


def _steps(migration: AnyMigration, planned: PlannedRepair) -> RowsView:
    lines = []
    for each in planned.items[:SHOWN]:
        step = planned.steps.get(each.key)
        does = _LEAVES.get(step.action) or _DOES[step.action, step.side] if step else _("nothing can be done now")
        lines.append((str(each.pk), name_of(migration, each.key), wording.severity(each.severity), str(does)))
    heads = (_("Number"), _("Document"), _("Severity"), _("What is done"))
    return RowsView(heads, tuple(lines), max(0, len(planned.items) - SHOWN))


def _counts(repair: Repair) -> dict[str, str]:
    return {name: grouped(getattr(repair, name)) for name in ("saved", "deleted", "gone")}


def _left(migration: AnyMigration, repair: Repair) -> list[str]:
    """What is still there afterwards, and why."""
    notes = []
    if repair.kept:
        notes.append(
            ngettext(
                "%(n)s stays: only the store that follows has it. Tick the box to remove it.",
                "%(n)s stay: only the store that follows has them. Tick the box to remove them.",
                repair.kept,
            )
            % {"n": grouped(repair.kept)}
        )
    if repair.unreached:
        notes.append(_("There was no time for %(n)s more; press again.") % {"n": grouped(repair.unreached)})
    notes += [_failure(migration, each) for each in repair.failed[:FAILURES_SHOWN]]
    if len(repair.failed) > FAILURES_SHOWN:
        notes.append(_("and %(more)s more") % {"more": grouped(len(repair.failed) - FAILURES_SHOWN)})
    return notes


def _failure(migration: AnyMigration, failure: Failure) -> str:
    return f"“{name_of(migration, failure.key)}”: {wording.translated(failure.message)}"
