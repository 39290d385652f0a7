"""What Prometheus makes of `/metrics`."""

from __future__ import annotations

from typing import Any

from django.test import Client
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

PREFIX = "migration_ops_"


def text() -> str:
    """The page as a process of this machine reads it."""
    answer = Client().get("/metrics")
    assert answer.status_code == 200, answer.content
    return str(answer.content.decode())


def families() -> dict[str, Metric]:
    """By name, without what all of them begin with."""
    found = list(text_string_to_metric_families(text()))
    by_name = {family.name.removeprefix(PREFIX): family for family in found}
    assert len(by_name) == len(found)
    return by_name


def series(name: str, *labels: str, migration: str = "notes") -> dict[Any, float]:
    """Values of the series of this name by these labels; a single label's by its value alone."""
    found = {}
    for family in families().values():
        for sample in family.samples:
            if sample.name == PREFIX + name and sample.labels["migration"] == migration:
                key = tuple(sample.labels[label] for label in labels)
                assert key not in found, "these labels do not tell the series apart"
                found[key] = sample.value
    return {key[0] if len(labels) == 1 else key: value for key, value in found.items()}


def value(name: str) -> float:
    """Of the only series of this name."""
    ((found),) = series(name).values()
    return found
