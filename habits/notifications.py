"""What a family is told: listing it, and marking it as read. Notifications exist in the modern schema only."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from urllib.parse import quote
from uuid import UUID

from django.db import connection
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from habits.identifiers import ordered_uuid
from habits.models import Notification as Row
from habits.models import NotificationType

MOST_LISTED = 100
"""In one page."""

TELL_ONCE = """
INSERT INTO notifications (id, user_id, type, title, message, link_url, metadata)
VALUES (%(id)s, %(owner)s, %(kind)s, %(title)s, %(message)s, %(link)s, %(details)s::jsonb)
    ON CONFLICT {key} DO NOTHING
"""

ONCE = {
    NotificationType.ACHIEVEMENT: "(user_id, (metadata->>'child'), (metadata->>'week')) WHERE type = 'achievement'",
    NotificationType.WEEKLY_REPORT: "(user_id, (metadata->>'week')) WHERE type = 'weekly_report'",
}
"""What there can be only one of. Named, so that without its unique key nothing is told instead of everything twice."""


class NoSuchNotification(LookupError):
    """This family was told no such thing."""


@dataclass(frozen=True, slots=True)
class Notification:
    """One message.

    Attributes:
        kind: a `NotificationType`.
        title, message: plain text, in the language of whoever caused it, or of the site.
        link: where it leads on this site; "" for nowhere.
        details: the facts behind the text, e.g. child and week; depends on the kind.
    """

    id: UUID
    kind: str
    title: str
    message: str
    link: str
    details: Mapping[str, Any]
    is_read: bool
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Listing:
    """One page of messages, the newest first.

    Attributes:
        unread: how many there are in all that nobody has read.
        before: for the next page; None where this is the last one.
    """

    notifications: tuple[Notification, ...]
    unread: int
    before: UUID | None


def listed(*, owner: UUID, before: UUID | None = None, limit: int = 20) -> Listing:
    """The newest messages to this family.

    Args:
        before: only those older than this one, the last of the page before.
        limit: at most so many, 1 to `MOST_LISTED`.

    Raises:
        NoSuchNotification: `before` is none of this family's.
    """
    limit = min(max(limit, 1), MOST_LISTED)
    rows = Row.objects.filter(user_id=owner)
    older = rows
    if before is not None:
        last = _row(owner, before)
        older = rows.filter(created_at__lte=last.created_at).exclude(created_at=last.created_at, id__gte=last.pk)
    found = [_notification(row) for row in older.order_by("-created_at", "-id")[: limit + 1]]
    following = found[limit - 1].id if len(found) > limit else None
    return Listing(tuple(found[:limit]), unread(owner=owner), following)


def unread(*, owner: UUID) -> int:
    """How many messages nobody has read."""
    return Row.objects.filter(user_id=owner, is_read=False).count()


def mark_read(*, owner: UUID, notification: UUID) -> Notification:
    """Mark one message as read, whether it was or not.

    Raises:
        NoSuchNotification: the family has none with this id.
    """
    Row.objects.filter(user_id=owner, pk=notification, is_read=False).update(is_read=True, updated_at=Now())
    return _notification(_row(owner, notification))


def tell_once(
    *, owner: UUID, kind: NotificationType, title: str, message: str, link: str, details: Mapping[str, Any]
) -> bool:
    """Tell the family unless it was told already: an achievement of a child and week, the report of a week.

    Returns:
        Whether it is told now.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            TELL_ONCE.format(key=ONCE[kind]),
            {
                "id": ordered_uuid(),
                "owner": owner,
                "kind": kind.value,
                "title": title,
                "message": message,
                "link": link,
                "details": json.dumps(details, ensure_ascii=False),
            },
        )
        return bool(cursor.rowcount)


def board_link(child: str, week_start: date) -> str:
    """The page of this board."""
    return f"/children/{quote(child, safe='')}/weeks/{week_start.isoformat()}/"


def _row(owner: UUID, notification: UUID) -> Row:
    row = Row.objects.filter(user_id=owner, pk=notification).first()
    if row is None:
        raise NoSuchNotification(_("There is no such notification."))
    return row


def _notification(row: Row) -> Notification:
    return Notification(
        id=row.pk,
        kind=row.type,
        title=row.title,
        message=row.message or "",
        link=row.link_url or "",
        details=row.metadata or {},
        is_read=row.is_read,
        created_at=row.created_at,
    )
