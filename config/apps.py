"""Apps of others under the names that people read here."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _
from django_rq.apps import DjangoRqAdminConfig


class BackgroundJobs(DjangoRqAdminConfig):
    """The queue of background jobs."""

    verbose_name = _("Background jobs")
