"""What can be done about quarantined rows: accept that they stay behind, say whose they are, look at them again."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection
from datetime import timedelta
from typing import Any, ClassVar

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from migration_ops import quarantine, quarantine_listing
from migration_ops.definition import AnyMigration
from migration_ops.exceptions import UnusableInput
from migration_ops.quarantine import Decision
from migration_ops.sentence import said
from migration_ops.web import wording
from migration_ops.web.acting import Answer, Pressed
from migration_ops.web.acting_on_rows import ActingOnRows, RowsView
from migration_ops.web.row_forms import OwnerForm, ReasonedRowsForm, RowsForm
from migration_ops.web.shapes import grouped

PATIENCE = timedelta(seconds=5)
"""How long a page carries changes over itself; what is left then is the applier's."""


class _Deciding(ActingOnRows):
    page = "quarantine"

    @property
    def page_title(self) -> str:
        return _("Quarantine")

    @abstractmethod
    def planned(self, migration: AnyMigration, ids: Collection[int], values: dict[str, Any]) -> Decision: ...

    @abstractmethod
    def decided(
        self, migration: AnyMigration, ids: Collection[int], values: dict[str, Any], **how: Any
    ) -> Decision: ...

    @abstractmethod
    def would(self, rows: int) -> str: ...

    @abstractmethod
    def done(self, rows: int) -> str: ...

    def look(self, pressed: Pressed) -> Answer:
        would = self.planned(pressed.migration, _ids(pressed), pressed.form.values)
        return Answer(
            sentence=self.would(would.rows),
            shown=_shown(would),
            basis=would.fingerprint,
            possible=would.rows > 0,
        )

    def act(self, pressed: Pressed, basis: str) -> Answer:
        how = {**pressed.said, "seen": basis, "patience": PATIENCE}
        decision = self.decided(pressed.migration, _ids(pressed), pressed.form.values, **how)
        return Answer(sentence=self.done(decision.rows), notes=_notes(decision))


class _Accepting(_Deciding):
    verb, codename, tone = "quarantine-accept", "migration_ops.accept_migration", "danger"
    label: Promise = gettext_lazy("Accept that they stay behind")
    explanation: Promise = gettext_lazy(
        "The rows are not in modern then; the rest of their documents is. It holds for as long as a row stays as it is."
    )
    form_class: ClassVar[type[RowsForm]] = ReasonedRowsForm

    def planned(self, migration: AnyMigration, ids: Collection[int], values: dict[str, Any]) -> Decision:
        return quarantine.planned_acceptance(migration, ids)

    def decided(self, migration: AnyMigration, ids: Collection[int], values: dict[str, Any], **how: Any) -> Decision:
        if not how["reason"].strip():
            raise UnusableInput(said("Say why the rows may stay behind; it stays in the history."))
        return quarantine.accept(migration, ids, **how)

    def would(self, rows: int) -> str:
        if not rows:
            return _("Nothing to do: all of these rows are accepted already.")
        return ngettext(
            "Would accept that %(rows)s row stays behind.", "Would accept that %(rows)s rows stay behind.", rows
        ) % {"rows": grouped(rows)}

    def done(self, rows: int) -> str:
        return ngettext("Accepted: %(rows)s row stays behind.", "Accepted: %(rows)s rows stay behind.", rows) % {
            "rows": grouped(rows)
        }


class _Assigning(_Deciding):
    verb, codename, tone = "quarantine-assign", "migration_ops.assign_migration", "forward"
    label: Promise = gettext_lazy("Give them an owner")
    explanation: Promise = gettext_lazy("Writes the owner into the legacy rows themselves, which must have none.")
    form_class: ClassVar[type[RowsForm]] = OwnerForm

    def planned(self, migration: AnyMigration, ids: Collection[int], values: dict[str, Any]) -> Decision:
        return quarantine.planned_assignment(migration, ids, owner=values["owner"])

    def decided(self, migration: AnyMigration, ids: Collection[int], values: dict[str, Any], **how: Any) -> Decision:
        return quarantine.assign_owner(migration, ids, owner=values["owner"], **how)

    def look(self, pressed: Pressed) -> Answer:
        answer = super().look(pressed)
        account = pressed.migration.find_unit(pressed.form.values["owner"])
        answer.notes.append(_("The owner will be the account %(account)s.") % {"account": account})
        return answer

    def would(self, rows: int) -> str:
        return ngettext("Would give %(rows)s row this owner.", "Would give %(rows)s rows this owner.", rows) % {
            "rows": grouped(rows)
        }

    def done(self, rows: int) -> str:
        return ngettext("%(rows)s row has an owner now.", "%(rows)s rows have an owner now.", rows) % {
            "rows": grouped(rows)
        }


class _Retrying(_Deciding):
    verb, codename, tone = "quarantine-retry", "migration_ops.retry_migration", "calm"
    label: Promise = gettext_lazy("Look at them again")
    explanation: Promise = gettext_lazy("Rows that are no longer rejected leave the quarantine, and are written.")

    def planned(self, migration: AnyMigration, ids: Collection[int], values: dict[str, Any]) -> Decision:
        return quarantine.planned_retry_of_some(migration, ids)

    def decided(self, migration: AnyMigration, ids: Collection[int], values: dict[str, Any], **how: Any) -> Decision:
        return quarantine.retry_some(migration, ids, **how)

    def would(self, rows: int) -> str:
        return ngettext("Would look at %(rows)s row again.", "Would look at %(rows)s rows again.", rows) % {
            "rows": grouped(rows)
        }

    def done(self, rows: int) -> str:
        return ngettext("Looked at %(rows)s row again.", "Looked at %(rows)s rows again.", rows) % {
            "rows": grouped(rows)
        }


ACCEPT, ASSIGN, RETRY = _Accepting(), _Assigning(), _Retrying()

QUARANTINE_ACTIONS: tuple[ActingOnRows, ...] = (ASSIGN, RETRY, ACCEPT)


def _ids(pressed: Pressed) -> list[int]:
    values = pressed.form.values
    if values["whole"]:
        return quarantine_listing.waiting_ids(pressed.migration, values["listed"])
    return list(values["items"])


def _shown(decision: Decision) -> RowsView:
    items = decision.listing.items[: quarantine_listing.SHOWN]
    return RowsView(
        heads=(_("Row"), _("Code"), _("What is wrong")),
        lines=tuple((str(item.row), item.code, item.message) for item in items),
        more=decision.rows - len(items),
    )


def _notes(decision: Decision) -> list[str]:
    notes = [wording.translated(advice) for advice in decision.advice]
    if decision.failed:
        notes.append(
            ngettext(
                "%(n)s change could not be carried over; it is tried again.",
                "%(n)s changes could not be carried over; they are tried again.",
                decision.failed,
            )
            % {"n": grouped(decision.failed)}
        )
    if decision.applied is None:
        notes.append(_("Nothing is carried over at this stage; the next backfill does what was decided."))
    elif decision.applied.remaining > decision.failed:
        notes.append(_("The rest is carried over in the background."))
    return notes
