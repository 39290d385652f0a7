"""What can be done about differences: look at them again, repair them, explain them, take explanations back."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Sequence
from typing import ClassVar

from django.http import HttpRequest
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from migration_ops.definition import AnyMigration
from migration_ops.exceptions import UnusableInput
from migration_ops.models import Difference, DifferenceStatus
from migration_ops.sentence import said
from migration_ops.verify import difference_choice, differences
from migration_ops.verify.difference_listing import STATUSES
from migration_ops.web import wording
from migration_ops.web.acting import Answer, Pressed
from migration_ops.web.acting_on_differences import SHOWN, OnDifferences, beyond, ids_of, name_of
from migration_ops.web.acting_on_rows import RowsView
from migration_ops.web.difference_repair import REPAIR
from migration_ops.web.row_forms import ReasonedRowsForm, RowsForm
from migration_ops.web.shapes import grouped


class _Deciding(OnDifferences):
    @abstractmethod
    def planned(self, pressed: Pressed, ids: Sequence[int]) -> list[Difference]: ...

    @abstractmethod
    def decided(self, pressed: Pressed, ids: Sequence[int], seen: str) -> list[Difference]: ...

    @abstractmethod
    def would(self, number: int) -> str: ...

    @abstractmethod
    def done(self, number: int) -> str: ...

    def look(self, pressed: Pressed) -> Answer:
        ids = ids_of(pressed)
        basis = difference_choice.fingerprint(difference_choice.chosen(pressed.migration, ids))
        found = self.planned(pressed, ids)
        return Answer(
            sentence=self.would(len(found)),
            shown=_shown(pressed.migration, found),
            basis=basis,
            possible=True,
            notes=beyond(pressed, ids),
        )

    def act(self, pressed: Pressed, basis: str) -> Answer:
        return Answer(sentence=self.done(len(self.decided(pressed, ids_of(pressed), basis))))


class _Looking(_Deciding):
    verb, codename, tone = "difference-look", differences.LOOK, "calm"
    label: Promise = gettext_lazy("Look again")
    explanation: Promise = gettext_lazy(
        "Reads both stores now. What is equal by now is no longer there; of the rest the page shows what it is now."
    )
    statuses = STATUSES["standing"]

    def planned(self, pressed: Pressed, ids: Sequence[int]) -> list[Difference]:
        return differences.planned_look(pressed.migration, ids)

    def decided(self, pressed: Pressed, ids: Sequence[int], seen: str) -> list[Difference]:
        return differences.look_again(pressed.migration, ids, seen=seen)

    def would(self, number: int) -> str:
        return ngettext(
            "This is what %(n)s difference is now; would keep that.",
            "This is what %(n)s differences are now; would keep that.",
            number,
        ) % {"n": grouped(number)}

    def done(self, number: int) -> str:
        return ngettext("Looked at %(n)s difference again.", "Looked at %(n)s differences again.", number) % {
            "n": grouped(number)
        }


class _Explaining(_Deciding):
    verb, codename, tone = "difference-explain", differences.EXPLAIN, "danger"
    label: Promise = gettext_lazy("Explain")
    explanation: Promise = gettext_lazy(
        "You say by name why they are there and may stay. They close no gate any more, for as long as both stores say"
        " what they say now."
    )
    form_class: ClassVar[type[RowsForm]] = ReasonedRowsForm
    statuses = STATUSES["standing"]

    def planned(self, pressed: Pressed, ids: Sequence[int]) -> list[Difference]:
        return differences.planned_explanation(pressed.migration, ids)

    def decided(self, pressed: Pressed, ids: Sequence[int], seen: str) -> list[Difference]:
        if not pressed.said["reason"].strip():
            raise UnusableInput(said("Say why they may stay; it stays with them and in the history."))
        return differences.explain(pressed.migration, ids, seen=seen, **pressed.said)

    def would(self, number: int) -> str:
        return ngettext("Would explain %(n)s difference.", "Would explain %(n)s differences.", number) % {
            "n": grouped(number)
        }

    def done(self, number: int) -> str:
        return ngettext("Explained: %(n)s difference may stay.", "Explained: %(n)s differences may stay.", number) % {
            "n": grouped(number)
        }


class _Reopening(_Deciding):
    verb, codename, tone = "difference-reopen", differences.EXPLAIN, "calm"
    label: Promise = gettext_lazy("Take the explanation back")
    explanation: Promise = gettext_lazy("They count as differences again, and can be repaired.")
    statuses = (DifferenceStatus.EXPLAINED,)

    def planned(self, pressed: Pressed, ids: Sequence[int]) -> list[Difference]:
        return differences.planned_reopening(pressed.migration, ids)

    def decided(self, pressed: Pressed, ids: Sequence[int], seen: str) -> list[Difference]:
        return differences.reopen(pressed.migration, ids, seen=seen, **pressed.said)

    def would(self, number: int) -> str:
        return ngettext("Would reopen %(n)s difference.", "Would reopen %(n)s differences.", number) % {
            "n": grouped(number)
        }

    def done(self, number: int) -> str:
        return ngettext("Reopened %(n)s difference.", "Reopened %(n)s differences.", number) % {"n": grouped(number)}


DIFFERENCE_ACTIONS: tuple[OnDifferences, ...] = (_Looking(), REPAIR, _Explaining(), _Reopening())


def buttons(
    request: HttpRequest, migration: AnyMigration, statuses: Collection[str]
) -> tuple[tuple[OnDifferences, str], ...]:
    """What whoever asks may do about differences of all of these statuses, and where."""
    return tuple(
        (each, reverse(f"admin:{each.url_name}", args=[migration.name]))
        for each in DIFFERENCE_ACTIONS
        if set(statuses) <= set(each.statuses) and request.user.has_perm(each.codename)
    )


def _shown(migration: AnyMigration, found: Sequence[Difference]) -> RowsView:
    return RowsView(
        heads=(_("Number"), _("Document"), _("Severity"), _("Status"), _("What")),
        lines=tuple(
            (
                str(each.pk),
                name_of(migration, each.key),
                wording.severity(each.severity),
                str(DifferenceStatus(each.status).label),
                str(wording.KINDS.get(each.kind, each.kind)),
            )
            for each in found[:SHOWN]
        ),
        more=max(0, len(found) - SHOWN),
    )
