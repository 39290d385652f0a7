"""The control room's place in the admin."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from migration_ops.models.state import MigrationState


class Dashboard(MigrationState):
    """Nothing of its own: the admin derives an address and an entry in its index from a model, and the control room
    wants both. Whoever may see the state may see it."""

    class Meta:
        proxy = True
        verbose_name = _("control room")
        verbose_name_plural = _("control room")
        default_permissions = ()
