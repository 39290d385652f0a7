"""The face of the rollout in django-waffle."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Self

from django.db import models
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from waffle.models import AbstractUserFlag


class Flag(AbstractUserFlag):
    """django-waffle's flag, whose answers can be relied on.

    The flag that is named like a migration is the face of its rollout: it says what `rollout.routing` says, shows its
    percentage and names its canary users and groups. Every other flag is a feature flag whose percentage is decided by
    the user's bucket, and never by dice, a cookie that anybody may send, or a cache that is behind.
    """

    decide: ClassVar[Callable[[Flag, HttpRequest], bool]]
    """How `is_active` is decided; `apps` puts in what `rollout.flags` knows."""

    percent = models.DecimalField(
        _("Percent"),
        max_digits=5,
        decimal_places=2,
        null=True,
        blank=True,
        help_text=_("A number from 0 to 100: the share of the users for whom this flag is active."),
    )
    superusers = models.BooleanField(_("Superusers"), default=False, help_text=_("Flag always active for superusers?"))

    class Meta(AbstractUserFlag.Meta):
        abstract = False
        verbose_name = _("flag")
        verbose_name_plural = _("flags")
        constraints = [
            models.CheckConstraint(
                condition=models.Q(percent=None) | models.Q(percent__gte=0, percent__lte=100), name="flag_percent"
            ),
        ]

    @classmethod
    def get(cls, name: str) -> Self:
        """The flag of that name as it is now, or one that is not kept, which is active for nobody."""
        return cls.objects.filter(name=name).first() or cls(name=name)

    @classmethod
    def get_all(cls) -> list[Self]:
        """All flags as they are now."""
        return list(cls.objects.all())

    def is_active(self, request: HttpRequest, read_only: bool = False) -> bool:
        return Flag.decide(self, request)
