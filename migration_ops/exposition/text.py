"""Puts everything together, in the words that Prometheus reads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta

from django.db import connection, transaction
from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from migration_ops.definition import AnyMigration
from migration_ops.exposition import counted, standing
from migration_ops.exposition.look import look
from migration_ops.patience import milliseconds

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4

PATIENCE = timedelta(seconds=3)
"""How long one statement may take: shorter than any scrape, so that scrapes that were given up do not pile up."""


class _Found(Collector):
    """Hands out what was read already."""

    def __init__(self, families: Sequence[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def exposition(migrations: Sequence[AnyMigration]) -> bytes:
    """What is known of these migrations now, in the text format 0.0.4.

    Raises:
        Error: the database, of `django.db`, did not answer, or not in time.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT set_config('statement_timeout', %s, true)", [milliseconds(PATIENCE)])
        looks = [look(migration) for migration in migrations]
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Found([*standing.families(looks), *counted.families(looks)]))
    return generate_latest(registry)
