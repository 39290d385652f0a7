"""Break-glass settings in force, for every page of the admin."""

from __future__ import annotations

from typing import Any

from django import template

from migration_ops.rollout import routing

register = template.Library()


@register.inclusion_tag("migration_ops/pins.html")
def migration_pins() -> dict[str, Any]:
    """A warning for each pin; nothing where none is in force."""
    pinned = routing.pin()
    return {"pinned": pinned.value if pinned else "", "follower_is_off": not routing.follower_is_written()}
