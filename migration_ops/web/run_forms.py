"""What people say when they start a run."""

from __future__ import annotations

from django import forms
from django.http import QueryDict
from django.utils.translation import gettext_lazy as _

from migration_ops.backfill.request import MOST_WORKERS
from migration_ops.web.forms import ReasonForm


class WorkersForm(ReasonForm):
    """How many workers share it; one, as long as nobody said anything else."""

    workers = forms.IntegerField(
        label=_("Workers"),
        min_value=1,
        max_value=MOST_WORKERS,
        help_text=_("So many workers of the queue share the run, if there are as many."),
    )

    field_order = ["workers", "reason"]

    def __init__(self, data: QueryDict) -> None:
        said = data.copy()
        said.setdefault("workers", "1")
        super().__init__(said)
