"""Shapes of what the control room shows: numbers with the address of the rows behind them, lines, tables, facts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.urls import reverse
from django.utils.formats import number_format

from migration_ops.definition import AnyMigration
from migration_ops.web.wording import Text


def rows(model: str, **filters: Any) -> str:
    """The address of the admin's list of these rows."""
    where = urlencode({name: value for name, value in filters.items() if value is not None})
    return f"{reverse(f'admin:migration_ops_{model}_changelist')}?{where}"


def listed(migration: AnyMigration, page: str, /, **query: str) -> str:
    """The address of one of the migration's own pages in the control room."""
    return reverse(f"admin:migration_ops_dashboard_{page}", args=[migration.name], query=query or None)


@dataclass(frozen=True, slots=True)
class Number:
    """A count and the address of what was counted."""

    value: str
    link: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """A row of a table: what it is about, its numbers, and how it is meant: `good`, `bad`, `unsure` or nothing."""

    label: Text
    numbers: tuple[Number, ...]
    tone: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Fact:
    """One value that stands for itself."""

    label: Text
    value: str
    link: str = ""
    tone: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """Lines under headings; the caption stands over their labels."""

    caption: Text
    heads: tuple[Text, ...]
    lines: tuple[Line, ...]


def count(value: int, link: str = "") -> Number:
    """A count, grouped as the reader's language does it."""
    return Number(grouped(value), link)


def grouped(value: int) -> str:
    return number_format(value, force_grouping=True)
