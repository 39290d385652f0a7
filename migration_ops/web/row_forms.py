"""What people say when they decide on rows: which ones, and what about them."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from migration_ops.web.forms import ReasonForm

LARGEST_ID = 2**63 - 1

_MOST_DIGITS = len(str(LARGEST_ID))


class IdsField(forms.Field):
    """Numbers of rows, each once; sent as several values of one name."""

    widget = forms.MultipleHiddenInput
    hidden_widget = forms.MultipleHiddenInput

    def clean(self, value: Any) -> list[int]:
        found = []
        for text in value or []:
            is_number = text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS and int(text) <= LARGEST_ID
            if not is_number:
                raise ValidationError(_("%(text)s is no number of a row."), params={"text": text[: _MOST_DIGITS + 1]})
            found.append(int(text))
        return sorted(set(found))


class RowsForm(ReasonForm):
    """Rows that were ticked, or with `whole` all rows of a list that wait.

    `listed` says which list they were ticked in, so that one gets back to it.
    """

    items = IdsField(required=False)
    listed = forms.CharField(required=False, max_length=100, widget=forms.HiddenInput)
    whole = forms.BooleanField(required=False, widget=forms.HiddenInput)

    def clean(self) -> dict[str, Any]:
        said = super().clean() or self.cleaned_data
        chosen = said.get("listed") if said.get("whole") else said.get("items")
        if not chosen and "items" not in self.errors:
            raise ValidationError(_("Choose a row first."))
        return said


class ReasonedRowsForm(RowsForm):
    """For what nobody would understand later without a reason."""

    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        self.fields["reason"].widget.attrs["required"] = True


class RepairForm(RowsForm):
    """Whether a repair removes as well."""

    delete_extras = forms.BooleanField(
        label=_("Also remove what only the store that follows has"),
        required=False,
        help_text=_("Look again after ticking it. Documents that nobody else has are gone from both stores then."),
    )


class OwnerForm(RowsForm):
    """Whose the rows are."""

    asks: ClassVar[tuple[str, ...]] = ("owner",)

    owner = forms.CharField(
        label=_("Whose the rows are"),
        max_length=320,
        help_text=_("The account's e-mail address or ID."),
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "off", "spellcheck": "false"}),
    )
