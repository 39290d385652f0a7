"""What the family is told."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from ninja import Query, Router

from habits import notifications
from habits.api import representation, schemas
from habits.api.admission import owner
from habits.api.idempotency import idempotent
from habits.api.methods import READING

router = Router(tags=["notifications"])


@router.api_operation(READING, "/notifications", response=schemas.NotificationsOut)
def list_notifications(
    request: HttpRequest,
    limit: Annotated[int, Query(ge=1, le=notifications.MOST_LISTED)] = 20,
    before: Annotated[UUID | None, Query(description="`next` of the page before")] = None,
) -> HttpResponse:
    """The family's notifications, the newest first, and how many of all of them are unread."""
    page = notifications.listed(owner=owner(request).pk, before=before, limit=limit)
    return representation.answer(representation.notifications(page))


@router.post("/notifications/{uuid:notification}/read", response=schemas.NotificationOut)
@idempotent
def read_notification(request: HttpRequest, notification: UUID) -> HttpResponse:
    """Mark a notification as read, whether it was or not."""
    read = notifications.mark_read(owner=owner(request).pk, notification=notification)
    return representation.answer(representation.notification(read))
