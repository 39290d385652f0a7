"""Rows of a table chosen at random, by a seed and their ids alone: so many first in the order of a hash.

The rows are not put into that order: a look for the last one that is chosen draws the line, and those before it then
come page by page in the order of their ids, each page in a transaction of its own if need be.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

from django.db import connection

Place = tuple[int, Any]
"""In the order of the hash: a hash, and the id it is of."""


@dataclass(frozen=True, slots=True)
class Draw:
    """How far a draw is; survives as text.

    Attributes:
        found: documents that came of it so far.
        low, high: the places after which and up to which rows are chosen at present; None is open.
        after: the last row that was read of them.
    """

    found: int = 0
    low: Place | None = None
    high: Place | None = None
    after: Any = None

    @classmethod
    def of(cls, text: str) -> Draw:
        found, low, high, after = json.loads(text)
        return cls(found, None if low is None else tuple(low), None if high is None else tuple(high), after)

    def __str__(self) -> str:
        return json.dumps([self.found, self.low, self.high, self.after])

    def next_page(self, after: Any, found: int) -> Draw:
        """After a page that ended with this row and held so many documents."""
        return replace(self, after=after, found=self.found + found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lots:
    """A table to draw from.

    Attributes:
        table: its name; its rows have a unique `id`.
        id_type: the type of the ids in SQL.
        hashed: SQL, the hash of an id with the seed as its only parameter.
    """

    table: str
    id_type: str
    hashed: str

    def begin(self, seed: int, wanted: int, low: Place | None = None, found: int = 0) -> Draw:
        """A draw of the first so many rows after `low` in the order of the hash, or of all that follow if they are
        fewer."""
        beyond = "" if low is None else f"WHERE (hash, id) > (%s, %s::{self.id_type})"
        sql = f"""
            SELECT hash, id::text FROM (SELECT {self.hashed} AS hash, id FROM {self.table}) AS lots {beyond}
             ORDER BY hash, id OFFSET %s LIMIT 1
        """
        with connection.cursor() as cursor:
            cursor.execute(sql, [seed, *(low or ()), wanted - 1])
            return Draw(found, low, cursor.fetchone())

    def rows(self, draw: Draw, seed: int, limit: int) -> list[Any]:
        """The ids of the next rows that are chosen, in order."""
        conditions, parameters = [], []
        for place, comparison in ((draw.low, ">"), (draw.high, "<=")):
            if place is not None:
                conditions.append(f"({self.hashed}, id) {comparison} (%s, %s::{self.id_type})")
                parameters += [seed, *place]
        if draw.after is not None:
            conditions.append(f"id > %s::{self.id_type}")
            parameters.append(draw.after)
        where = " AND ".join(conditions) or "true"
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT id FROM {self.table} WHERE {where} ORDER BY id LIMIT %s", [*parameters, limit])
            return [number for (number,) in cursor.fetchall()]
