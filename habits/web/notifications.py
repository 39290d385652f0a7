"""What a family is told, the newest first; looking at one marks it as read."""

from __future__ import annotations

import logging
from uuid import UUID

from django.db import DatabaseError, transaction
from django.http import Http404, HttpRequest, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.functional import SimpleLazyObject
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST, require_safe

from habits import notifications
from habits.notifications import NoSuchNotification
from habits.web.visitor import family_page, owner

logger = logging.getLogger(__name__)


@family_page
@require_safe
def listed(request: HttpRequest) -> HttpResponseBase:
    """One page of them."""
    try:
        before = UUID(request.GET["before"]) if "before" in request.GET else None
        found = notifications.listed(owner=owner(request), before=before)
    except (ValueError, NoSuchNotification):
        raise Http404 from None
    return render(request, "family/notifications.html", {"listing": found})


@family_page
@require_POST
def read(request: HttpRequest, notification: UUID) -> HttpResponseBase:
    """Mark it as read, as often as one likes, and go where it leads."""
    try:
        found = notifications.mark_read(owner=owner(request), notification=notification)
    except NoSuchNotification:
        raise Http404 from None
    here = url_has_allowed_host_and_scheme(found.link, allowed_hosts=None)
    return redirect(found.link if here else "notifications")


def unread(request: HttpRequest) -> dict[str, object]:
    """Context processor: how many the family has not read, asked for only where a page shows it."""
    return {"unread_notifications": SimpleLazyObject(lambda: _unread(request))}


def _unread(request: HttpRequest) -> int:
    """A page is not refused because this number is not to be had."""
    try:
        with transaction.atomic():
            return notifications.unread(owner=owner(request))
    except DatabaseError:
        logger.warning("The unread notifications could not be counted.", exc_info=True)
        return 0
