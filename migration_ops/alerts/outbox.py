"""The outbox: messages are written in the commit of their alert, and sent by whoever claims them.

A claim is a commit of its own, so that no lock is held while a server thinks. Two senders never claim one message
(`SKIP LOCKED`, and a claim that lasts longer than sending does). A sender that dies after sending and before writing
it down leaves a claim that ends; then the message is sent again: *at least once*, and twice only after such a death.
"""

from __future__ import annotations

import json
import logging
import random
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID, uuid4

from django.db import connection

from migration_ops.alerts import channels as ways
from migration_ops.alerts import payload
from migration_ops.alerts.channels import Sends
from migration_ops.alerts.problems import Channel
from migration_ops.backfill.errors import Backoff
from migration_ops.conf import settings
from migration_ops.failpoints import failpoint, label
from migration_ops.models import Alert, AlertMessage

logger = logging.getLogger(__name__)

SENT = label("alerts.sent")

CLAIM = timedelta(minutes=2)
"""How long a claim lasts: much longer than sending takes, which gives up after seconds."""

AT_ONCE = 50
"""Messages that one call sends at most."""

_GIVE_UP = """
UPDATE migration_ops_alertmessage SET given_up_at = clock_timestamp(), claimed_until = NULL, claim = NULL
 WHERE sent_at IS NULL AND given_up_at IS NULL AND created_at <= clock_timestamp() - make_interval(secs => %s)
   AND (claimed_until IS NULL OR claimed_until <= clock_timestamp())
"""

# A message waits for the earlier ones of its alert and channel: nobody is told of an end before the beginning.
_CLAIM = """
UPDATE migration_ops_alertmessage AS claimed
   SET claim = %s, claimed_until = clock_timestamp() + make_interval(secs => %s), attempts = attempts + 1
 WHERE id = (SELECT id FROM migration_ops_alertmessage AS message
              WHERE sent_at IS NULL AND given_up_at IS NULL AND not_before <= clock_timestamp()
                AND (claimed_until IS NULL OR claimed_until <= clock_timestamp()) AND channel = ANY(%s)
                AND NOT EXISTS (SELECT 1 FROM migration_ops_alertmessage AS earlier
                                 WHERE earlier.alert_id = message.alert_id AND earlier.channel = message.channel
                                   AND earlier.id < message.id
                                   AND earlier.sent_at IS NULL AND earlier.given_up_at IS NULL)
              ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING id, channel, payload, attempts
"""

_MARK_SENT = """
UPDATE migration_ops_alertmessage
   SET sent_at = clock_timestamp(), claimed_until = NULL, claim = NULL, error = ''
 WHERE id = %s AND claim = %s
"""

_MARK_FAILED = """
UPDATE migration_ops_alertmessage
   SET error = %s, claimed_until = NULL, claim = NULL, not_before = clock_timestamp() + make_interval(secs => %s)
 WHERE id = %s AND claim = %s
"""

_PURGE_MESSAGES = """
DELETE FROM migration_ops_alertmessage WHERE alert_id IN (
    SELECT id FROM migration_ops_alert WHERE resolved_at < clock_timestamp() - make_interval(secs => %s) LIMIT %s)
"""

_PURGE_ALERTS = """
DELETE FROM migration_ops_alert AS alert
 WHERE resolved_at < clock_timestamp() - make_interval(secs => %s)
   AND NOT EXISTS (SELECT 1 FROM migration_ops_alertmessage WHERE alert_id = alert.id)
"""


@dataclass(frozen=True, slots=True)
class Delivered:
    """How many messages were sent, and how many could not be and are tried again later."""

    sent: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class _Claimed:
    number: int
    claim: UUID
    channel: Channel
    payload: Mapping[str, object]
    attempts: int


def write(alert: Alert, event: str) -> None:
    """Put a message for every channel of this installation into the outbox, in the caller's transaction."""
    told = payload.of_alert(alert, event).as_dict()
    AlertMessage.objects.bulk_create(
        AlertMessage(alert=alert, channel=channel.value, event=event, payload=told) for channel in ways.configured()
    )


def deliver(channels: Mapping[Channel, Sends] | None = None, *, stop: Callable[[], bool] = lambda: False) -> Delivered:
    """Send what is due, each message in its own time; never raises because of a channel.

    A channel that fails is left alone for the rest of this call: a server that hangs costs its patience once.

    Args:
        channels: by default those that are configured; what is for another one waits until it is given up.
        stop: asked before each message.

    Raises:
        Error: of `django.db`; the outbox itself cannot be read or written.
    """
    sending = dict(ways.configured() if channels is None else channels)
    with connection.cursor() as cursor:
        cursor.execute(_GIVE_UP, [settings().alert_give_up_after.total_seconds()])
    sent = failed = 0
    while sent + failed < AT_ONCE and not stop():
        claimed = _claim(sending)
        if claimed is None:
            break
        why = _attempt(claimed, sending[claimed.channel])
        if why:
            failed += 1
            del sending[claimed.channel]
            _mark_failed(claimed, why)
            logger.warning("An alert could not be sent through %s and is tried again: %s.", claimed.channel, why)
        else:
            sent += 1
            failpoint(SENT)
            _mark_sent(claimed)
    return Delivered(sent, failed)


def _attempt(claimed: _Claimed, channel: Sends) -> str:
    try:
        message = payload.read(claimed.payload)
    except (KeyError, TypeError, ValueError):
        return "the message cannot be read"
    return ways.why_not(channel, message)


def _claim(sending: Collection[Channel]) -> _Claimed | None:
    claim = uuid4()
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, [claim, CLAIM.total_seconds(), [channel.value for channel in sending]])
        found = cursor.fetchone()
    if found is None:
        return None
    number, channel, kept, attempts = found
    return _Claimed(number, claim, Channel(channel), json.loads(kept), attempts)


def _mark_sent(claimed: _Claimed) -> None:
    with connection.cursor() as cursor:
        cursor.execute(_MARK_SENT, [claimed.number, claimed.claim])


def _mark_failed(claimed: _Claimed, why: str) -> None:
    backoff = Backoff(
        first=settings().alert_retry_first_delay.total_seconds(),
        longest=settings().alert_retry_longest_delay.total_seconds(),
    )
    delay = backoff.delay(claimed.attempts, random.random())  # noqa: S311 - no secret
    with connection.cursor() as cursor:
        cursor.execute(_MARK_FAILED, [why[:100], delay, claimed.number, claimed.claim])


def purge() -> int:
    """Throw away what was resolved longer ago than `metrics_retention`; how many alerts."""
    age = settings().metrics_retention.total_seconds()
    with connection.cursor() as cursor:
        cursor.execute(_PURGE_MESSAGES, [age, 1_000])
        cursor.execute(_PURGE_ALERTS, [age])
        return int(cursor.rowcount)
