"""Fixtures for tests of the engine on the tiny domain."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from migration_ops import registry
from migration_ops.definition import AnyMigration
from tests.database import database_url
from tests.engine.background import Background
from tests.engine.own_server import OwnServer
from tests.engine.quick_settings import MIGRATION_OPS
from tests.notes import schema
from tests.notes.migration import notes as notes_migration
from tests.notes.migration import register_alone

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def notes(transactional_db: None) -> Iterator[AnyMigration]:
    """The tiny domain, registered, with empty tables, at stage off. Data is committed for real."""
    schema.drop_tables()
    schema.create_tables()
    others = register_alone()
    yield notes_migration
    registry.unregister(notes_migration.name)
    for other in others:
        registry.register(other)
    schema.drop_tables()


@pytest.fixture
def in_background(notes: AnyMigration, settings: Any) -> Iterator[Background]:
    """A Redis for this test alone, which its commands use; workers and schedulers are started as it wants them."""
    background = Background()
    settings.RQ_QUEUES = {"default": {"URL": background.url, "SERIALIZER": "rq.serializers.JSONSerializer"}}
    settings.MIGRATION_OPS = MIGRATION_OPS
    yield background
    background.end()


@pytest.fixture
def own_server() -> Iterator[Callable[[], OwnServer]]:
    """Make a PostgreSQL that the test may kill."""
    made: list[OwnServer] = []

    def make() -> OwnServer:
        made.append(OwnServer())
        return made[-1]

    yield make
    for server in made:
        server.end()


@pytest.fixture
def start_notes_command() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start `manage.py …` with the tiny domain as a process of its own; whatever still runs at the end is killed."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str, failpoint: str = "", **environment: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.notes.manage", *arguments],
            cwd=ROOT,
            env={
                **os.environ,
                "DATABASE_URL": database_url(),
                "MIGRATION_OPS_FAILPOINT": failpoint,
                **environment,
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()
