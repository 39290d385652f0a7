"""Answers already given, so that a request sent twice has one effect."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from habits.models.base import ModernModel, length_between
from habits.models.users import User


class IdempotencyRecord(ModernModel):
    """The answer to one request, byte by byte, committed together with what the request changed.

    A key counts within its scope only: who asked, with what method, for what route. `fingerprint` is of the payload:
    the same key with another one is refused.
    """

    user = models.ForeignKey(User, on_delete=models.CASCADE, db_constraint=False, db_index=False, related_name="+")
    method = models.TextField(_("method"))
    route = models.TextField(_("route"))
    key = models.TextField(_("key"))
    fingerprint = models.TextField(_("fingerprint of the payload"))
    response_status = models.SmallIntegerField(_("status of the answer"))
    response_headers = models.JSONField(_("headers of the answer"), db_default={})
    response_body = models.BinaryField(_("body of the answer"), db_default=b"")
    expires_at = models.DateTimeField(_("expires"))

    class Meta:
        db_table = "idempotency_log"
        verbose_name = _("answered request")
        verbose_name_plural = _("answered requests")
        constraints = [
            models.UniqueConstraint(fields=["user", "method", "route", "key"], name="idempotency_log_scope_key"),
            models.CheckConstraint(condition=length_between("key", 1, 255), name="idempotency_log_key_length"),
            models.CheckConstraint(
                condition=models.Q(response_status__range=(200, 499)), name="idempotency_log_status_kept"
            ),
        ]
        indexes = [models.Index(fields=["expires_at"], name="idempotency_log_by_expiry")]

    def __str__(self) -> str:
        return f"{self.method} {self.route}"
