"""What is read from the legacy table, statement by statement; `legacy_table` makes documents of it."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection

from habits.board import BoardKey, normal_child_name
from habits.stores.exact_json import UnreadableJson, decode_jsonb
from habits.stores.legacy_rows import MAX_RECORD_BYTES, ParsedRow, key_of, rejected, usable_id
from habits.stores.legacy_sizes import PAGE_BYTES, READ_BYTES, Head
from habits.stores.legacy_verdict import parse, too_large
from migration_ops.definition import Rejection, Span

_SHORT = 200
_NUMBER = re.compile(r"-?[0-9]{1,19}")
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


# `date::text` follows the server's DateStyle; `to_char` does not, but can say neither infinity nor BC, and fails for a
# day beyond the timestamps.
_DAY = """
    CASE WHEN h.week_start_date BETWEEN '0001-01-01' AND '9999-12-31'
         THEN to_char(h.week_start_date, 'YYYY-MM-DD')
         ELSE h.week_start_date::text END
"""

_HEAD = f"""
    h.id, h.user_id::text, h.child_name, {_DAY},
    CASE WHEN h.week_start_date IS NULL THEN left(h.week_period, 400) END, {READ_BYTES}
"""
_HEAD_COLUMNS = ("id", "user_id", "child_name", "week_start_date", "week_period")

_TEXTS = ("h.child_name", "h.week_period", "h.theme", "h.reward", "said.habits", "said.reflection")
_OCTETS = f"({' + '.join(f'coalesce(octet_length({column}), 0)' for column in _TEXTS)})"
_FITS = f"{_OCTETS} <= {MAX_RECORD_BYTES}"
_DIGEST = " || ".join(f"coalesce(md5({column}), '-')" for column in _TEXTS)

# Of a row that is too large only the columns that make the key come over. `OFFSET 0` has each text made once only; its
# length is known then, so it costs nothing to ask for it wherever it is needed.
_CONTENT = f"""
SELECT h.id, h.user_id::text, {_DAY},
       CASE WHEN {_FITS} OR octet_length(h.child_name) <= 2000 THEN h.child_name END,
       CASE WHEN {_FITS} THEN h.week_period ELSE left(h.week_period, 400) END,
       CASE WHEN {_FITS} THEN h.theme END,
       CASE WHEN {_FITS} THEN h.reward END,
       CASE WHEN {_FITS} THEN said.habits END,
       CASE WHEN {_FITS} THEN said.reflection ELSE {_DIGEST} END,
       {_OCTETS}, h.xmin::text
  FROM habit_tracker h
 CROSS JOIN LATERAL (SELECT h.habits::text AS habits, h.reflection::text AS reflection OFFSET 0) said
"""

# `OFFSET 0` keeps each probe a probe of the index; a join over the whole table would read all of it for every page.
_SPELLINGS = """
SELECT o.owner::text, s.child_name
  FROM unnest(string_to_array(%s, ',')::uuid[]) AS o (owner)
 CROSS JOIN LATERAL (
    WITH RECURSIVE spelling (child_name) AS (
        (SELECT h.child_name FROM habit_tracker h WHERE h.user_id = o.owner ORDER BY h.child_name LIMIT 1)
        UNION ALL
        SELECT (SELECT h.child_name FROM habit_tracker h
                 WHERE h.user_id = o.owner AND h.child_name > spelling.child_name ORDER BY h.child_name LIMIT 1)
          FROM spelling WHERE spelling.child_name IS NOT NULL)
    SELECT child_name FROM spelling WHERE child_name IS NOT NULL OFFSET 0
 ) AS s
"""

# The rows that may belong to these keys, but for those that are known already.
_CANDIDATES = f"""
WITH k AS MATERIALIZED (
    SELECT (wanted ->> 0)::uuid AS owner, wanted ->> 1 AS child, (wanted ->> 2)::date AS monday
      FROM json_array_elements(%s::json) AS wanted)
SELECT dated.* FROM k CROSS JOIN LATERAL (
    SELECT {_HEAD} FROM habit_tracker h
     WHERE h.user_id = k.owner AND h.child_name = k.child
       AND h.week_start_date >= k.monday AND h.week_start_date < k.monday + 7
       AND NOT h.id = ANY(string_to_array(%s, ',')::bigint[]) OFFSET 0) AS dated
 UNION ALL
SELECT undated.* FROM (SELECT DISTINCT owner, child FROM k) AS k CROSS JOIN LATERAL (
    SELECT {_HEAD} FROM habit_tracker h
     WHERE h.user_id = k.owner AND h.child_name = k.child AND h.week_start_date IS NULL
       AND NOT h.id = ANY(string_to_array(%s, ',')::bigint[]) OFFSET 0) AS undated
"""

_LOCKS = {"": "", "share": " FOR SHARE OF h", "update": " FOR UPDATE OF h"}
_MANY = 5_000

# The last row of a page, and whether others may follow it.
_END = f"""
SELECT max(id) FILTER (WHERE before < {PAGE_BYTES}), count(*) = %s OR max(before) >= {PAGE_BYTES}
  FROM (SELECT id, sum(bytes) OVER (ORDER BY id) - bytes AS before
          FROM (SELECT h.id, {READ_BYTES} AS bytes FROM habit_tracker h WHERE {{where}} ORDER BY h.id LIMIT %s) AS page
       ) AS summed
"""

# Lists travel as one text: rendering an array element by element costs more than the query it is for.
_AMONG = "h.id = ANY(string_to_array(%s, ',')::bigint[])"


def row_numbers(rows: Collection[str]) -> list[int]:
    """Row ids as numbers, in order; what is no id of this table names no row."""
    numbers = {int(row) for row in rows if _NUMBER.fullmatch(row)}
    return sorted(filter(usable_id, numbers))


def heads_of_rows(ids: Collection[int]) -> dict[int, Head]:
    """These rows by id, in order; those that are gone are absent."""
    return _heads(f"SELECT {_HEAD} FROM habit_tracker h WHERE {_AMONG} ORDER BY h.id", [_listed(ids)])


def heads_of_keys(keys: Collection[BoardKey], *, known: Collection[int] = ()) -> dict[int, Head]:
    """The rows of these keys by id, however their child's name is spelled and whether or not they have a date.

    Args:
        keys: the boards whose rows are wanted.
        known: ids of rows that need not be found.
    """
    wanted = set(keys)
    if not wanted:
        return {}
    spellings = _spellings({key.owner for key in wanted})
    places = [
        (str(owner), spelling, week_start.isoformat())
        for owner, child, week_start in wanted
        for spelling in spellings.get((owner, child), ())
    ]
    if not places:
        return {}
    ids = _listed(known)
    found = _heads(_CANDIDATES, [json.dumps(places), ids, ids])
    return {number: head for number, head in found.items() if head.key in wanted}


def keys_of_owner(owner: UUID) -> set[BoardKey]:
    """The keys of all rows of this owner that have a readable one."""
    heads = _heads(f"SELECT {_HEAD} FROM habit_tracker h WHERE h.user_id = %s", [owner])
    return {head.key for head in heads.values() if head.key is not None}


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
    seen = _seen(f"{_CONTENT} WHERE {where} AND h.id <= %s ORDER BY h.id LIMIT %s", [*arguments, end, limit])
    page = {int(row.outcome.row): row for row in seen}
    # Rows that came in between push others off a full page.
    return page, max(page) if len(page) == limit else end if more else None


def contents_of_rows(ids: Collection[int], *, lock: str = "") -> list[Outcome]:
    """These rows, read and judged; those that are gone are absent.

    Args:
        ids: of the rows.
        lock: `share` or `update` keeps them as they are until the end of the transaction.
    """
    sql = f"{_CONTENT} WHERE {_AMONG} ORDER BY h.id{_LOCKS[lock]}"
    return [seen.outcome for listed in _in_pieces(ids) for seen in _seen(sql, [listed])]


def kept_contents(ids: Collection[int], seen: Mapping[int, Seen]) -> list[Outcome]:
    """These rows, kept as they are until the end of the transaction; those that are gone are absent.

    Args:
        ids: of the rows.
        seen: what is known of some of them. It need not be read again, under locks that users wait for, where the row
            is still the same once it is locked.
    """
    sql = f"SELECT h.id, h.xmin::text FROM habit_tracker h WHERE {_AMONG} ORDER BY h.id FOR SHARE OF h"
    same, other = [], []
    for listed in _in_pieces(ids):
        with connection.cursor() as cursor:
            cursor.execute(sql, [listed])
            for number, version in cursor.fetchall():
                before = seen.get(number)
                if before is not None and before.version == version:
                    same.append(before.outcome)
                else:
                    other.append(number)
    return same + contents_of_rows(other)


def missing_exactly(keys: Collection[BoardKey]) -> set[BoardKey]:
    """Those of the keys of which there is no row that spells the child's name as the key does and has a date."""
    ordered = list(keys)
    sql = """
        SELECT k.place
          FROM unnest(%s::uuid[], %s::text[], %s::date[]) WITH ORDINALITY AS k (owner, child, monday, place)
         WHERE NOT EXISTS (SELECT FROM habit_tracker h
                            WHERE h.user_id = k.owner AND h.child_name = k.child
                              AND h.week_start_date >= k.monday AND h.week_start_date < k.monday + 7)
    """
    columns = [str(key.owner) for key in ordered], [key.child for key in ordered], [key.week_start for key in ordered]
    with connection.cursor() as cursor:
        cursor.execute(sql, columns)
        return {ordered[place - 1] for (place,) in cursor.fetchall()}


def periods_taken(wanted: Mapping[BoardKey, Collection[str]]) -> set[BoardKey]:
    """Those of the keys all of whose periods are taken, under the child's name, whoever owns the row."""
    sql = """
        SELECT k.place
          FROM json_array_elements(%s::json) WITH ORDINALITY AS k (said, place)
         WHERE NOT EXISTS (
               SELECT FROM json_array_elements_text(k.said -> 1) AS period
                WHERE NOT EXISTS (SELECT FROM habit_tracker h
                                   WHERE h.child_name = k.said ->> 0 AND h.week_period = period))
    """
    ordered = list(wanted)
    with connection.cursor() as cursor:
        cursor.execute(sql, [json.dumps([[key.child, list(wanted[key])] for key in ordered])])
        return {ordered[place - 1] for (place,) in cursor.fetchall()}


def users_among(owners: Collection[str]) -> set[UUID]:
    """Those of these owners that have an account."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT id FROM users WHERE id = ANY(string_to_array(%s, ',')::uuid[])", [_listed(owners)])
        return {user for (user,) in cursor.fetchall()}


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


def _listed(values: Iterable[object]) -> str:
    return ",".join(map(str, values))


def _heads(sql: str, arguments: list[Any]) -> dict[int, Head]:
    with connection.cursor() as cursor:
        cursor.execute(sql, arguments)
        rows = cursor.fetchall()
    return {row[0]: Head(key_of(dict(zip(_HEAD_COLUMNS, row, strict=False))), row[-1]) for row in rows}


def _spellings(owners: Collection[UUID]) -> dict[tuple[UUID, str], list[str]]:
    """How the rows of these owners spell each child's name."""
    spellings: dict[tuple[UUID, str], list[str]] = {}
    with connection.cursor() as cursor:
        cursor.execute(_SPELLINGS, [_listed(owners)])
        for owner, text in cursor.fetchall():
            spellings.setdefault((UUID(owner), normal_child_name(text)), []).append(text)
    return spellings


def _in_pieces(ids: Collection[int]) -> Iterator[str]:
    ordered = sorted(ids)
    return (_listed(ordered[start : start + _MANY]) for start in range(0, len(ordered), _MANY))


def _seen(sql: str, arguments: list[Any]) -> list[Seen]:
    with connection.cursor() as cursor:
        cursor.execute(sql, arguments)
        rows = cursor.fetchall()
    owners = users_among({row[1] for row in rows if row[1] is not None})
    return [Seen(_outcome(content, owners), version) for *content, version in rows]


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
