"""What all modern tables have in common."""

from __future__ import annotations

from typing import Any

from django.contrib.postgres.functions import RandomUUID
from django.db import models
from django.db.models.functions import Length, Now
from django.db.models.lookups import Range
from django.utils.translation import gettext_lazy as _

from habits.identifiers import ordered_uuid


class ModernModel(models.Model):
    """A row with a UUID of its own and the times it was made and last changed."""

    id = models.UUIDField(primary_key=True, default=ordered_uuid, db_default=RandomUUID(), editable=False)
    created_at = models.DateTimeField(_("created"), db_default=Now(), editable=False)
    updated_at = models.DateTimeField(_("updated"), auto_now=True, db_default=Now())

    class Meta:
        abstract = True


class JsonType(models.Func):
    """`object`, `array`, … of a JSON value."""

    function = "jsonb_typeof"
    output_field = models.TextField()


def length_between(field: str, least: int, most: int) -> Any:
    """Condition: the text has so many characters (not bytes)."""
    return Range(Length(field), (least, most))
