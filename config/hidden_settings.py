"""What the page of an error must not show of the settings, beyond what Django hides."""

from __future__ import annotations

import re

from django.views.debug import SafeExceptionReporterFilter


class HiddenSettings(SafeExceptionReporterFilter):
    """Addresses with a secret in them are secrets."""

    hidden_settings = re.compile(
        f"{SafeExceptionReporterFilter.hidden_settings.pattern}|WEBHOOK_URL|REDIS_URL|RQ_QUEUES", flags=re.IGNORECASE
    )
