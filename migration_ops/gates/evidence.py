"""The gates that rest on what backfill, capture, quarantine and validation left in the database."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from migration_ops.definition import AnyMigration
from migration_ops.gates.gate import Gate

EVALUATORS: Mapping[str, Callable[[AnyMigration], Gate]] = {}
