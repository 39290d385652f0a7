"""What people tell the control room when they act: why, and how far. The services say what is impossible."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from migration_ops import stages
from migration_ops.rollout import plan
from migration_ops.state import State
from migration_ops.web import wording

LONGEST_REASON = 2_000


class ActionForm(forms.Form):
    """Why; subclasses add what else an action has to know. `values` are those without the reason."""

    reason = forms.CharField(
        label=_("Why"),
        required=False,
        max_length=LONGEST_REASON,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
        help_text=_("Stays in the history."),
    )

    field_order = ["stage", "percent", "header", "cookie", "reason"]

    def __init__(self, data: Any, *, now: State) -> None:
        super().__init__({**self.proposed(now), **data.dict()})

    @classmethod
    def proposed(cls, now: State) -> dict[str, Any]:
        """What is filled in as long as nobody said anything else."""
        return {}

    @property
    def values(self) -> dict[str, Any]:
        return {name: value for name, value in self.cleaned_data.items() if name != "reason"}

    @property
    def fingerprint(self) -> str:
        """What the values are, so that nothing is done but what was looked at."""
        return json.dumps(self.values, sort_keys=True, default=str)


class ReasonNeeded(ActionForm):
    """For those who vouch."""

    def __init__(self, data: Any, *, now: State) -> None:
        super().__init__(data, now=now)
        self.fields["reason"].widget.attrs["required"] = True


class _Percent(forms.DecimalField):
    def __init__(self, **more: Any) -> None:
        super().__init__(min_value=Decimal(0), max_value=Decimal(100), max_digits=5, decimal_places=2, **more)


class PercentForm(ActionForm):
    percent = _Percent(label=_("Percentage of the units that read modern"))

    @classmethod
    def proposed(cls, now: State) -> dict[str, Any]:
        return {"percent": f"{plan.next_percent(now.percent).normalize():f}"}


class CanaryForm(ActionForm):
    percent = _Percent(label=_("Percentage of the units that are canaries"))
    header = forms.CharField(
        label=_("Header by which staff ask for a store"), required=False, max_length=100, empty_value=""
    )
    cookie = forms.CharField(
        label=_("Cookie by which somebody asks for a store"), required=False, max_length=100, empty_value=""
    )

    @classmethod
    def proposed(cls, now: State) -> dict[str, Any]:
        return {
            "percent": f"{now.canary_percent.normalize():f}",
            "header": now.canary_header,
            "cookie": now.canary_cookie,
        }


class BackForm(ActionForm):
    stage = forms.ChoiceField(label=_("Back to"))

    def __init__(self, data: Any, *, now: State) -> None:
        super().__init__(data, now=now)
        earlier = stages.earlier_stages(now.stage)
        self.fields["stage"].choices = [(each.value, wording.STAGES[each]) for each in earlier]  # type: ignore[attr-defined]

    @classmethod
    def proposed(cls, now: State) -> dict[str, Any]:
        return {"stage": next((each.value for each in stages.earlier_stages(now.stage)), "")}
