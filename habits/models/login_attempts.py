"""How often somebody tried to get in, so that passwords cannot be guessed by trying."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class LoginAttempts(models.Model):
    """Attempts within one window. What they were for, and from where, stands in the key only as a digest."""

    key = models.TextField(_("key"), primary_key=True)
    attempts = models.IntegerField(_("attempts"))
    window_ends = models.DateTimeField(_("window ends"))

    class Meta:
        db_table = "login_attempts"
        verbose_name = _("attempts to log in")
        verbose_name_plural = _("attempts to log in")
        indexes = [models.Index(fields=["window_ends"], name="login_attempts_by_end")]

    def __str__(self) -> str:
        return self.key
