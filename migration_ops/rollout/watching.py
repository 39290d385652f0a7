"""What a process of the self-test does. Imports nothing of Django's models: it begins before they are loaded."""

from __future__ import annotations

import time
from multiprocessing.connection import Connection

import django
from django.utils.module_loading import import_string


def watch(name: str, end: Connection) -> None:
    """Say that it watches, then when it saw the kill switch of this migration; by the machine's monotonic clock."""
    django.setup()
    state_of = import_string("migration_ops.state.by_name")
    state_of(name)
    end.send(time.monotonic())
    while not state_of(name).kill:
        pass
    end.send(time.monotonic())
