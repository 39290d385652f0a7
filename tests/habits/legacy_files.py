"""Legacy files for tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import UUID

from habits.board import Board
from habits.models import User
from habits.stores.legacy_json import LegacyJsonStore
from migration_ops.definition import Page, Span

OWNER = UUID("11111111-1111-4111-8111-111111111111")
OTHER = UUID("22222222-2222-4222-8222-222222222222")
STRANGER = UUID("99999999-9999-4999-8999-999999999999")

BLANKS = [""] * 7


def create_owners() -> None:
    for owner in (OWNER, OTHER):
        User.objects.get_or_create(id=owner, defaults={"email": f"{owner}@example.org"})


def row(number: int | None, **columns: Any) -> dict[str, Any]:
    """A row as the legacy app writes it; without `number`, one without id."""
    made = {
        "id": number,
        "child_name": "하늘",
        "week_period": "2025년 7월 21일 ~ 2025년 7월 27일",
        "theme": "",
        "habits": [{"id": 1, "name": "양치하기", "times": ["green", *BLANKS[1:]]}],
        "reflection": {},
        "reward": None,
        "week_start_date": "2025-07-21",
        "user_id": str(OWNER),
        **columns,
    }
    if number is None:
        del made["id"]
    return made


def write(path: Path, rows: list[Any]) -> LegacyJsonStore:
    """Put the rows into the file, in the form that its name asks for, and open it."""
    if path.suffix == ".ndjson":
        path.write_text("".join(json.dumps(each, ensure_ascii=False) + "\n" for each in rows), encoding="utf-8")
    else:
        whole = {"table_name": "habit_tracker", "records": rows, "exported": {"by": "app"}}
        path.write_text(json.dumps(whole, ensure_ascii=False, indent=1), encoding="utf-8")
    return LegacyJsonStore(path, accepted=lambda rows: {})


def read(path: Path) -> list[Any]:
    """The rows in the file, as any other program reads them."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ndjson":
        return [json.loads(line) for line in text.splitlines() if line]
    return list(json.loads(text)["records"])


def pages(store: LegacyJsonStore, limit: int, span: Span | None = None) -> list[Page[Any, Board]]:
    """A whole scan."""
    span = span or Span()
    found = [store.scan(span, limit)]
    while found[-1].cursor is not None:
        found.append(store.scan(Span(found[-1].cursor, span.until), limit))
    return found
