"""Tries whether alerts arrive: a test message through every channel, past the outbox."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from django.utils import timezone

from migration_ops.alerts import channels as ways
from migration_ops.alerts.channels import Sends
from migration_ops.alerts.payload import Payload
from migration_ops.alerts.problems import Channel, Found, Problem
from migration_ops.definition import AnyMigration


@dataclass(frozen=True, slots=True)
class Tried:
    """What became of the test message in one channel; `why` is "" where it was taken."""

    channel: Channel
    why: str

    @property
    def sent(self) -> bool:
        return not self.why


def attempt(migration: AnyMigration, channels: Mapping[Channel, Sends] | None = None) -> list[Tried]:
    """Send a test message through each channel, by default through those that are configured."""
    now = timezone.now().isoformat(timespec="seconds")
    message = Payload(0, "test", migration.name, Found(Problem.TEST), now)
    return [
        Tried(name, ways.why_not(channel, message))
        for name, channel in (ways.configured() if channels is None else channels).items()
    ]
