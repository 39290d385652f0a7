"""The dial of the rollout."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _
from waffle.models import AbstractUserFlag


class Flag(AbstractUserFlag):
    """django-waffle's flag, swapped in from the first migration on so that what it decides can become trustworthy."""

    class Meta(AbstractUserFlag.Meta):
        abstract = False
        verbose_name = _("flag")
        verbose_name_plural = _("flags")
