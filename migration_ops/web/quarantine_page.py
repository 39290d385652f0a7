"""The quarantine for the person who decides: what waits by code, what each means, and the rows themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.core.paginator import Page
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _

from migration_ops import quarantine_listing
from migration_ops.definition import AnyMigration
from migration_ops.models import QuarantineStatus
from migration_ops.quarantine_listing import Detailed
from migration_ops.web import wording
from migration_ops.web.acting_on_rows import ActingOnRows
from migration_ops.web.quarantine_actions import ASSIGN, QUARANTINE_ACTIONS
from migration_ops.web.shapes import grouped
from migration_ops.web.shapes import listed as page_address


@dataclass(frozen=True, slots=True)
class CodeView:
    """One code.

    Attributes:
        counts: status, its label, how many rows, and the address of their list.
    """

    code: str
    means: str
    advice: str
    counts: tuple[tuple[str, str, str, str], ...]
    is_open: bool
    is_here: bool


@dataclass(frozen=True, slots=True)
class RowView:
    """One quarantined row: its number, what is wrong, and the document it would belong to."""

    found: Detailed
    key: str
    inspect: str
    whole: str
    status: str


@dataclass(frozen=True, slots=True)
class ListView:
    """The rows of one code and status that are shown, and what can be done to them."""

    code: CodeView
    status: str
    status_label: str
    page: Page[Detailed]
    rows: tuple[RowView, ...]
    buttons: tuple[tuple[ActingOnRows, str], ...]
    has_whole: bool


def shown(request: HttpRequest, migration: AnyMigration) -> dict[str, Any]:
    """What the template needs: all codes, and the rows of the one that was asked for."""
    listed = request.GET.get("listed", "")
    codes = _codes(migration, listed)
    here = next((code for code in codes if code.is_here), None)
    return {
        "migration": migration,
        "title": _("Quarantine: %(label)s") % {"label": migration.label},
        "codes": codes,
        "list": _list(request, migration, here) if here else None,
    }


def _codes(migration: AnyMigration, listed: str) -> list[CodeView]:
    counts: dict[str, dict[str, int]] = {}
    for each in quarantine_listing.by_code(migration):
        counts.setdefault(each.code, {})[each.status] = each.rows
    if listed in migration.rejection_codes:
        counts.setdefault(listed, {})
    return [_code(migration, code, found, listed) for code, found in counts.items()]


def _code(migration: AnyMigration, code: str, found: dict[str, int], listed: str) -> CodeView:
    meaning = migration.code_meanings.get(code)
    return CodeView(
        code=code,
        means=wording.declared(meaning.means) if meaning else "",
        advice=wording.declared(meaning.advice) if meaning else "",
        counts=tuple(
            (
                status.value,
                str(status.label),
                grouped(found.get(status.value, 0)),
                page_address(migration, "quarantine", listed=code, status=status.value),
            )
            for status in QuarantineStatus
        ),
        is_open=bool(found.get(QuarantineStatus.OPEN)),
        is_here=code == listed,
    )


def _list(request: HttpRequest, migration: AnyMigration, code: CodeView) -> ListView:
    asked = request.GET.get("status", "")
    status = QuarantineStatus(asked) if asked in QuarantineStatus.values else QuarantineStatus.OPEN
    page = quarantine_listing.page(migration, code=code.code, status=status, number=request.GET.get("page", "1"))
    meaning = migration.code_meanings.get(code.code)
    allowed = [each for each in QUARANTINE_ACTIONS if request.user.has_perm(each.codename)]
    if not (meaning and meaning.lacks_unit):
        allowed = [each for each in allowed if each is not ASSIGN]
    decidable = status is not QuarantineStatus.RESOLVED and bool(page)
    buttons = tuple((each, reverse(f"admin:{each.url_name}", args=[migration.name])) for each in allowed if decidable)
    return ListView(
        code=code,
        status=status.value,
        status_label=str(status.label),
        page=page,
        rows=tuple(_row(migration, found) for found in page),
        buttons=buttons,
        has_whole=status is QuarantineStatus.OPEN and bool(page),
    )


def _row(migration: AnyMigration, found: Detailed) -> RowView:
    key, inspect = "", ""
    if found.key is not None:
        inspect = page_address(migration, "inspect", key=found.key)
        key = migration.key_in_words(migration.decode_key(found.key))
    return RowView(
        found=found,
        key=key,
        inspect=inspect,
        whole=reverse("admin:migration_ops_quarantineitem_change", args=[found.item.id]) if found.cut else "",
        status=str(QuarantineStatus(found.item.status).label),
    )
