"""Answers that were given once and are given again, so that a change sent twice is made once.

The record of an answer commits together with what the request changed: there is no moment at which the one is there
and the other is not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.db import connection, transaction
from django.db.models.functions import Now

from habits.models import IdempotencyRecord
from migration_ops.locks import lock_id

KEPT = timedelta(hours=72)
"""For how long an answer is given again; afterwards its key is free."""

PURGED_AT_A_TIME = 1_000


class StillAnswering(Exception):
    """The first request with this key is not answered yet."""


class UsedForAnother(Exception):
    """The key was used for a request that said something else."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Within which a key means one request.

    Attributes:
        route: the path, with the names and ids in it.
    """

    user: UUID
    method: str
    route: str
    key: str


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


def claim(scope: Scope, fingerprint: str) -> Answer | None:
    """Make this transaction the only one that may answer, until it ends; the answer, if it was given already.

    Raises:
        StillAnswering: another transaction has the claim. Nobody waits for it.
        UsedForAnother: the answer there is belongs to another fingerprint.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [lock_of(scope)])
        if not cursor.fetchone()[0]:
            raise StillAnswering
    found = IdempotencyRecord.objects.filter(
        user_id=scope.user, method=scope.method, route=scope.route, key=scope.key, expires_at__gt=Now()
    ).first()
    if found is None:
        return None
    if found.fingerprint != fingerprint:
        raise UsedForAnother
    return Answer(found.response_status, found.response_headers, bytes(found.response_body))


def keep(scope: Scope, fingerprint: str, answer: Answer) -> None:
    """Record the answer, in the transaction that has the claim; one that has expired makes room."""
    record = IdempotencyRecord(
        user_id=scope.user,
        method=scope.method,
        route=scope.route,
        key=scope.key,
        fingerprint=fingerprint,
        response_status=answer.status,
        response_headers=dict(answer.headers),
        response_body=answer.body,
        expires_at=Now() + KEPT,
    )
    IdempotencyRecord.objects.bulk_create(
        [record],
        update_conflicts=True,
        unique_fields=["user", "method", "route", "key"],
        update_fields=[
            "fingerprint",
            "response_status",
            "response_headers",
            "response_body",
            "expires_at",
            "updated_at",
        ],
    )


def expired() -> int:
    """How many answers nobody gets any more."""
    return IdempotencyRecord.objects.filter(expires_at__lte=Now()).count()


def purge(at_a_time: int = PURGED_AT_A_TIME) -> int:
    """Delete them, so many in a transaction, past those that a request is just replacing; how many it were."""
    purged = 0
    while True:
        with transaction.atomic():
            rows = IdempotencyRecord.objects.filter(expires_at__lte=Now()).order_by("expires_at")
            found = list(rows.select_for_update(skip_locked=True).values_list("pk", flat=True)[:at_a_time])
            purged += IdempotencyRecord.objects.filter(pk__in=found).delete()[0]
        if len(found) < at_a_time:
            return purged


def lock_of(scope: Scope) -> int:
    """The advisory lock of whoever answers."""
    return lock_id("idempotency", str(scope.user), scope.method, scope.route, scope.key)
