"""What people tell the control room when they act: why, and how far. The services say what is impossible."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any, ClassVar

from django import forms
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.http import QueryDict
from django.utils.translation import gettext_lazy as _

from migration_ops import stages
from migration_ops.rollout import plan
from migration_ops.state import State
from migration_ops.web import wording

LONGEST_REASON = 2_000
LONGEST_LIST = 2_000


class ReasonForm(forms.Form):
    """Why; subclasses add what else an action has to know. `values` are those without the reason.

    Attributes:
        asks: names of fields without which there is nothing to look at yet; the page asks for them first.
    """

    asks: ClassVar[tuple[str, ...]] = ()

    reason = forms.CharField(
        label=_("Why"),
        required=False,
        max_length=LONGEST_REASON,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
        help_text=_("Stays in the history."),
    )

    field_order = ["stage", "percent", "header", "cookie", "users", "groups", "owner", "delete_extras", "reason"]

    @property
    def is_asking(self) -> bool:
        """Whether nobody has said yet what has to be known."""
        return any(name not in self.data for name in self.asks)

    @property
    def values(self) -> dict[str, Any]:
        return {name: value for name, value in self.cleaned_data.items() if name != "reason"}

    @property
    def fingerprint(self) -> str:
        """What the values are, so that nothing is done but what was looked at."""
        return json.dumps(self.values, sort_keys=True, default=str)


class ActionForm(ReasonForm):
    """What an action on the state of a migration has to know."""

    def __init__(self, data: QueryDict, *, now: State) -> None:
        said = data.copy()
        for name, value in self.proposed(now).items():
            said.setdefault(name, value)
        super().__init__(said)

    @classmethod
    def proposed(cls, now: State) -> dict[str, Any]:
        """What is filled in as long as nobody said anything else."""
        return {}


class ReasonNeeded(ActionForm):
    """For those who vouch."""

    def __init__(self, data: QueryDict, *, now: State) -> None:
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
    users = forms.CharField(
        label=_("More users by name"),
        required=False,
        max_length=LONGEST_LIST,
        help_text=_("What they log in with, separated by commas or spaces."),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    groups = forms.ModelMultipleChoiceField(
        Group.objects.order_by("name"), label=_("More groups"), required=False, widget=forms.CheckboxSelectMultiple
    )

    def clean_users(self) -> tuple[Any, ...]:
        """The users themselves.

        Raises:
            ValidationError: one of the names is nobody's.
        """
        wanted = list(dict.fromkeys(self.cleaned_data["users"].replace(",", " ").split()))
        users = get_user_model()
        known = users._default_manager.filter(**{f"{users.USERNAME_FIELD}__in": wanted})
        found = {user.get_username(): user for user in known}
        unknown = [login for login in wanted if login not in found]
        if unknown:
            raise forms.ValidationError(_("There is no user %(login)s."), params={"login": unknown[0]})
        return tuple(found[login] for login in wanted)

    def clean_groups(self) -> tuple[Group, ...]:
        return tuple(self.cleaned_data["groups"])

    @classmethod
    def proposed(cls, now: State) -> dict[str, Any]:
        return {
            "percent": f"{now.canary_percent.normalize():f}",
            "header": now.canary_header,
            "cookie": now.canary_cookie,
        }


class BackForm(ActionForm):
    stage = forms.ChoiceField(label=_("Back to"))

    def __init__(self, data: QueryDict, *, now: State) -> None:
        super().__init__(data, now=now)
        earlier = stages.earlier_stages(now.stage)
        self.fields["stage"].choices = [(each.value, wording.STAGES[each]) for each in earlier]  # type: ignore[attr-defined]

    @classmethod
    def proposed(cls, now: State) -> dict[str, Any]:
        return {"stage": next((each.value for each in stages.earlier_stages(now.stage)), "")}
