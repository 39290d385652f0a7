"""How many requests each family made in the minute at hand."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from habits.models.users import User


class RequestCount(models.Model):
    """One row a user and kind of request; `habits.rate_limit` alone reads and writes it.

    The table is unlogged, which Django cannot say, so the migration makes it.
    """

    pk = models.CompositePrimaryKey("user", "kind")
    user = models.ForeignKey(User, on_delete=models.CASCADE, db_constraint=False, db_index=False, related_name="+")
    kind = models.TextField(_("kind"))
    minute = models.DateTimeField(_("minute"))
    requests = models.IntegerField(_("requests"))

    class Meta:
        db_table = "request_counts"
        verbose_name = _("request count")
        verbose_name_plural = _("request counts")

    def __str__(self) -> str:
        return f"{self.kind}: {self.requests}"
