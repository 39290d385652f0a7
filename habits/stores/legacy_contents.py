"""Rows of the legacy table, read and judged, by page or by id; `legacy_table` makes boards of them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection

from habits.board import BoardKey
from habits.stores.exact_json import UnreadableJson, decode_jsonb
from habits.stores.legacy_heads import AMONG, DAY, listed, users_among
from habits.stores.legacy_rows import MAX_RECORD_BYTES, ParsedRow, rejected
from habits.stores.legacy_sizes import PAGE_BYTES, READ_BYTES
from habits.stores.legacy_verdict import parse, too_large
from migration_ops.definition import Rejection, Span

_SHORT = 200
_usual = lru_cache(maxsize=4_096)(decode_jsonb)
"""Most families write little, and the same, in a reflection. The values are shared: whoever changes one copies it."""

Outcome = ParsedRow | Rejection[BoardKey]


class Seen(NamedTuple):
    """A row as it was read while anybody might change it.

    Attributes:
        outcome: what it says.
        version: PostgreSQL's `xmin`, the transaction that wrote the row: it differs as soon as the row was changed, or
            deleted and inserted again.
    """

    outcome: Outcome
    version: str


_TEXTS = ("h.child_name", "h.week_period", "h.theme", "h.reward", "said.habits", "said.reflection")
_OCTETS = f"({' + '.join(f'coalesce(octet_length({column}), 0)' for column in _TEXTS)})"
_FITS = f"{_OCTETS} <= {MAX_RECORD_BYTES}"
_DIGEST = " || ".join(f"coalesce(md5({column}), '-')" for column in _TEXTS)

# Of a row that is too large only the columns that make the key come over. `OFFSET 0` has each text made once only; its
# length is known then, so it costs nothing to ask for it wherever it is needed.
#
# Rows are locked in a subquery of their own. Whoever waited for a lock looks at the new version of the row, but at the
# old rows of all that was joined to it: in one query the texts would be those of before, which the next write would
# put back in the place of what the other one has just committed.
_CONTENT = f"""
SELECT h.id, h.user_id::text, {DAY},
       CASE WHEN {_FITS} OR octet_length(h.child_name) <= 2000 THEN h.child_name END,
       CASE WHEN {_FITS} THEN h.week_period ELSE left(h.week_period, 400) END,
       CASE WHEN {_FITS} THEN h.theme END,
       CASE WHEN {_FITS} THEN h.reward END,
       CASE WHEN {_FITS} THEN said.habits END,
       CASE WHEN {_FITS} THEN said.reflection ELSE {_DIGEST} END,
       {_OCTETS}, h.xmin::text
  FROM (SELECT *, xmin FROM habit_tracker h WHERE {{where}} ORDER BY h.id {{more}}) AS h
 CROSS JOIN LATERAL (SELECT h.habits::text AS habits, h.reflection::text AS reflection OFFSET 0) said
 ORDER BY h.id
"""

_LOCKS = {"": "", "share": "FOR SHARE", "update": "FOR UPDATE"}
_MANY = 5_000

# The last row of a page, and whether others may follow it.
_END = f"""
SELECT max(id) FILTER (WHERE before < {PAGE_BYTES}), count(*) = %s OR max(before) >= {PAGE_BYTES}
  FROM (SELECT id, sum(bytes) OVER (ORDER BY id) - bytes AS before
          FROM (SELECT h.id, {READ_BYTES} AS bytes FROM habit_tracker h WHERE {{where}} ORDER BY h.id LIMIT %s) AS page
       ) AS summed
"""


def contents_of_page(span: Span, limit: int) -> tuple[dict[int, Seen], int | None]:
    """The next rows of the span by id, read and judged, in the order of their ids; nothing is locked.

    Returns:
        the rows, fewer than `limit` where they are large; and the place where the next page begins, None at the end.
    """
    where, arguments = _within(span)
    with connection.cursor() as cursor:
        cursor.execute(_END.format(where=where), [limit, *arguments, limit])
        end, more = cursor.fetchone()
    if end is None:
        return {}, None
    seen = _seen(_CONTENT.format(where=f"{where} AND h.id <= %s", more="LIMIT %s"), [*arguments, end, limit])
    page = {int(row.outcome.row): row for row in seen}
    # Rows that came in between push others off a full page.
    return page, max(page) if len(page) == limit else end if more else None


def contents_of_rows(ids: Collection[int], *, lock: str = "", owners: Collection[UUID] | None = None) -> list[Outcome]:
    """These rows, read and judged; those that are gone are absent.

    Args:
        ids: of the rows.
        lock: `share` or `update` keeps them as they are until the end of the transaction.
        owners: those that are known to have an account, where rows of others do not matter; looked up otherwise.
    """
    sql = _CONTENT.format(where=AMONG, more=_LOCKS[lock])
    return [seen.outcome for piece in _in_pieces(ids) for seen in _seen(sql, [piece], owners)]


def kept_contents(ids: Collection[int], seen: Mapping[int, Seen]) -> list[Outcome]:
    """These rows, kept as they are until the end of the transaction; those that are gone are absent.

    Args:
        ids: of the rows.
        seen: what is known of some of them. It need not be read again, under locks that users wait for, where the row
            is still the same once it is locked.
    """
    sql = f"SELECT h.id, h.xmin::text FROM habit_tracker h WHERE {AMONG} ORDER BY h.id FOR SHARE OF h"
    same, other = [], []
    for piece in _in_pieces(ids):
        with connection.cursor() as cursor:
            cursor.execute(sql, [piece])
            for number, version in cursor.fetchall():
                before = seen.get(number)
                if before is not None and before.version == version:
                    same.append(before.outcome)
                else:
                    other.append(number)
    return same + contents_of_rows(other)


def every_content(chunk: int = 1_000) -> Iterator[Outcome]:
    """Every row of the table, read and judged, in the order of the ids and in constant memory."""
    page, after = contents_of_page(Span(), chunk)
    yield from (seen.outcome for seen in page.values())
    while after is not None:
        page, after = contents_of_page(Span(after), chunk)
        yield from (seen.outcome for seen in page.values())


def _within(span: Span) -> tuple[str, list[int]]:
    conditions, arguments = ["true"], []
    if span.after is not None:
        conditions.append("h.id > %s")
        arguments.append(int(span.after))
    if span.until is not None:
        conditions.append("h.id <= %s")
        arguments.append(int(span.until))
    return " AND ".join(conditions), arguments


def _in_pieces(ids: Collection[int]) -> Iterator[str]:
    ordered = sorted(ids)
    return (listed(ordered[start : start + _MANY]) for start in range(0, len(ordered), _MANY))


def _seen(sql: str, arguments: list[Any], owners: Collection[UUID] | None = None) -> list[Seen]:
    with connection.cursor() as cursor:
        cursor.execute(sql, arguments)
        rows = cursor.fetchall()
    known = users_among({row[1] for row in rows if row[1] is not None}) if owners is None else set(owners)
    return [Seen(_outcome(content, known), version) for *content, version in rows]


def _outcome(row: Sequence[Any], owners: set[UUID]) -> Outcome:
    number, owner, day, child, period, theme, reward, habits, reflection, size = row
    content = f"{number}\0{owner}\0{day}\0{child}\0{period}\0{theme or ''}\0{reward or ''}\0{habits}\0{reflection}"
    fingerprint = blake2b(content.encode(), digest_size=16).hexdigest()
    record = {
        "id": number,
        "child_name": child,
        "week_period": period,
        "theme": theme,
        "habits": habits,
        "reflection": reflection,
        "reward": reward,
        "week_start_date": day,
        "user_id": owner,
    }
    if size > MAX_RECORD_BYTES:
        record["reflection"] = None
        return rejected(record, "record_too_large", too_large(size), fingerprint=fingerprint)
    try:
        if habits is not None:
            record["habits"] = decode_jsonb(habits)
        if reflection is not None:
            record["reflection"] = _usual(reflection) if len(reflection) < _SHORT else decode_jsonb(reflection)
    except UnreadableJson as error:
        return rejected(record, error.code, str(error), fingerprint=fingerprint)
    return parse(record, owners, fingerprint=fingerprint)
