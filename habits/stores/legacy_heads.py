"""What the legacy table holds, without the rows' content: rows, their keys, and what stands in a key's way."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any
from uuid import UUID

from django.db import connection

from habits.board import BoardKey, normal_child_name
from habits.stores.legacy_rows import key_of, usable_id
from habits.stores.legacy_sizes import READ_BYTES, Head

_NUMBER = re.compile(r"-?[0-9]{1,19}")

# `date::text` follows the server's DateStyle; `to_char` does not, but can say neither infinity nor BC, and fails for a
# day beyond the timestamps.
DAY = """
    CASE WHEN h.week_start_date BETWEEN '0001-01-01' AND '9999-12-31'
         THEN to_char(h.week_start_date, 'YYYY-MM-DD')
         ELSE h.week_start_date::text END
"""

_HEAD = f"""
    h.id, h.user_id::text, h.child_name, {DAY},
    CASE WHEN h.week_start_date IS NULL THEN left(h.week_period, 400) END, {READ_BYTES}
"""
_HEAD_COLUMNS = ("id", "user_id", "child_name", "week_start_date", "week_period")

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

# Lists travel as one text: rendering an array element by element costs more than the query it is for.
AMONG = "h.id = ANY(string_to_array(%s, ',')::bigint[])"


def row_numbers(rows: Collection[str]) -> list[int]:
    """Row ids as numbers, in order; what is no id of this table names no row."""
    numbers = {int(row) for row in rows if _NUMBER.fullmatch(row)}
    return sorted(filter(usable_id, numbers))


def heads_of_rows(ids: Collection[int]) -> dict[int, Head]:
    """These rows by id, in order; those that are gone are absent."""
    return _heads(f"SELECT {_HEAD} FROM habit_tracker h WHERE {AMONG} ORDER BY h.id", [listed(ids)])


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
    ids = listed(known)
    found = _heads(_CANDIDATES, [json.dumps(places), ids, ids])
    return {number: head for number, head in found.items() if head.key in wanted}


def keys_of_owner(owner: UUID) -> set[BoardKey]:
    """The keys of all rows of this owner that have a readable one."""
    heads = _heads(f"SELECT {_HEAD} FROM habit_tracker h WHERE h.user_id = %s", [owner])
    return {head.key for head in heads.values() if head.key is not None}


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
        cursor.execute("SELECT id FROM users WHERE id = ANY(string_to_array(%s, ',')::uuid[])", [listed(owners)])
        return {user for (user,) in cursor.fetchall()}


def listed(values: Iterable[object]) -> str:
    """A list as the one text in which it travels, see `AMONG`."""
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
        cursor.execute(_SPELLINGS, [listed(owners)])
        for owner, text in cursor.fetchall():
            spellings.setdefault((UUID(owner), normal_child_name(text)), []).append(text)
    return spellings
