"""The modern store: a board is a row of `weeks`, a row of `habits` for each line, and seven `habit_records` a habit."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple
from uuid import UUID

from django.db import DataError, OperationalError, connection

from habits.board import Board, BoardKey, Habit
from habits.identifiers import ordered_uuid
from habits.stores import modern_copy, modern_summaries
from habits.stores.draw import Draw, Lots
from habits.stores.legacy_ids import legacy_id_kept
from habits.stores.modern_changes import DETAILS, KEEP_LEGACY_IDS, changes, same, statements
from habits.stores.modern_rows import READ, Stored, missing_child, read_from, stored_boards, stored_key
from habits.summary import WeekSummary, summary
from migration_ops.definition import Batch, CapturedTable, Cursor, KeyPage, Page, RemovedRow, Saved, Span, Stray

_WANTED = """
       ROWS FROM (
         unnest(string_to_array(%s, ',')::uuid[]), json_array_elements_text(%s),
         unnest(string_to_array(%s, ',')::date[]), unnest(string_to_array(%s, ',', '')::uuid[])
       ) WITH ORDINALITY AS wanted (owner, child, monday, missing_child, n)
  LEFT JOIN LATERAL (SELECT id, user_id, name FROM children WHERE user_id = owner AND name = child LIMIT 1) AS c ON true
"""
"""Each list travels as one text: the driver makes array literals item by item, ten times as slowly."""

_ITS_WEEK = """
  FROM weeks
 WHERE child_id = coalesce(c.id, missing_child) AND week_start_date = monday
   AND (c.id IS NOT NULL OR NOT EXISTS (SELECT FROM children WHERE id = missing_child)) LIMIT 1
"""
"""`LIMIT 1` keeps the planner from joining by a scan of the whole table while it has no statistics yet."""

FIND = f"SELECT c.id, w.id FROM {_WANTED} LEFT JOIN LATERAL (SELECT id {_ITS_WEEK}) AS w ON true ORDER BY n"

READ_FOUND = read_from(f"{_WANTED} CROSS JOIN LATERAL (SELECT *, xmin {_ITS_WEEK}) AS w")
READ_PLACES = (
    read_from(f"{_WANTED} LEFT JOIN LATERAL (SELECT *, xmin {_ITS_WEEK}) AS w ON true", more=", c.id") + " ORDER BY n"
)
"""These find and read in one, because a family waits for it. The second has a row for every key, in their order, that
ends with the child's id."""

ADD_CHILDREN = """
INSERT INTO children (id, user_id, name)
SELECT id, user_id, name FROM unnest(%s::uuid[], %s::uuid[], %s::text[]) AS new (id, user_id, name)
 ORDER BY user_id, name
    ON CONFLICT (user_id, name) DO NOTHING
"""
"""Sorted, so that two transactions that add the same children wait for each other and never in a circle."""

KEYS = """
SELECT page.id, page.child_id, page.user_id, c.user_id, c.name, page.week_start_date
  FROM (SELECT id, child_id, user_id, week_start_date FROM weeks
         WHERE (%(after)s::uuid IS NULL OR id > %(after)s::uuid) AND (%(until)s::uuid IS NULL OR id <= %(until)s::uuid)
         ORDER BY id LIMIT %(limit)s) AS page
  LEFT JOIN LATERAL (SELECT user_id, name FROM children WHERE id = page.child_id LIMIT 1) AS c ON true
 ORDER BY page.id
"""

LOCK = "SELECT id, xmin::text FROM weeks WHERE id = ANY (%s::uuid[]) ORDER BY id FOR UPDATE"

SPANS = """
SELECT id FROM (SELECT id, row_number() OVER (ORDER BY id) AS n, count(*) OVER () AS total FROM weeks) AS numbered
 WHERE n = total OR n %% ceil(total::numeric / %s) = 0
 ORDER BY id
"""

KEYS_OF_OWNER = """
SELECT c.name, w.week_start_date FROM children c JOIN weeks w ON w.child_id = c.id WHERE c.user_id = %s
"""

_ENCODED = """
SELECT format('[%s,%s,%s]', to_json(c.user_id::text), to_json(c.name),
              to_json(to_char(w.week_start_date, 'YYYY-MM-DD')))
"""

CAPTURED = (
    CapturedTable("children", keys=f"{_ENCODED} FROM {{changed}} c JOIN {{schema}}.weeks w ON w.child_id = c.id"),
    CapturedTable(
        "weeks",
        keys=f"{_ENCODED} FROM {{changed}} w JOIN {{schema}}.children c ON c.id = w.child_id",
        one_a_document=True,
    ),
    CapturedTable(
        "habits",
        keys=f"{_ENCODED} FROM {{changed}} h JOIN {{schema}}.weeks w ON w.id = h.week_id"
        " JOIN {schema}.children c ON c.id = w.child_id",
    ),
    CapturedTable(
        "habit_records",
        keys=f"{_ENCODED} FROM {{changed}} r JOIN {{schema}}.habits h ON h.id = r.habit_id"
        " JOIN {schema}.weeks w ON w.id = h.week_id JOIN {schema}.children c ON c.id = w.child_id",
    ),
)
"""A change of any row of a board is a change of the board; its key is written as `board.encode_key` writes it. Rows
that hang on nothing are part of no board."""

LOTS = Lots(table="weeks", id_type="uuid", hashed="uuid_hash_extended(id, %s)")

ESTIMATE = """
SELECT CASE WHEN relpages > 0 AND reltuples > 0
            THEN (reltuples / relpages * pg_relation_size(oid) / current_setting('block_size')::int)::bigint
            ELSE (SELECT count(*) FROM weeks) END
  FROM pg_class WHERE oid = 'weeks'::regclass
"""

STRAY = {
    "habit_records": "NOT EXISTS (SELECT FROM habits JOIN weeks ON weeks.id = week_id WHERE habits.id = habit_id)",
    "habits": "NOT EXISTS (SELECT FROM weeks WHERE weeks.id = week_id)",
}
"""What makes a row hang on nothing, by table; dependents first."""

DELETE = (
    "DELETE FROM habit_records WHERE habit_id IN (SELECT id FROM habits WHERE week_id = ANY (%s::uuid[]))",
    "DELETE FROM habits WHERE week_id = ANY (%s::uuid[])",
    "DELETE FROM weeks WHERE id = ANY (%s::uuid[])",
)


class ChildVanished(OperationalError):
    """A child was deleted by somebody else while a week of it was being added; the same again adds it anew."""

    sqlstate = "40001"


class _Place(NamedTuple):
    """Where a key's board is: its child and its week, None where there is none."""

    child: UUID | None
    week: UUID | None


class ModernStore:
    """Boards in the modern tables.

    Scans go by the id of the week, so that they see every week there is, whatever it hangs on; a week whose child is
    missing comes out under a key that no legacy row can have. `lock` and `claim` lock the rows of `weeks`.
    """

    captured_tables = CAPTURED
    transactional = True

    def keys_of_unit(self, unit: str) -> set[BoardKey]:
        owner = UUID(unit)
        return {BoardKey(owner, *key) for key in _query(KEYS_OF_OWNER, [owner])}

    def spans(self, parts: int) -> list[Span]:
        ends = [str(week_id) for (week_id,) in _query(SPANS, [parts])]
        return [Span(after, until) for after, until in zip([None, *ends], ends, strict=False)]

    def scan(
        self, span: Span, limit: int, *, claim: Callable[[Collection[BoardKey]], None] | None = None
    ) -> Page[BoardKey, Board]:
        week_ids = _week_ids(span, limit)
        boards = [stored.board for stored in _read(week_ids)]
        if claim is not None:
            boards = _claimed(week_ids, boards, claim)
        cursor = str(week_ids[-1]) if len(week_ids) == limit and str(week_ids[-1]) != span.until else None
        return Page(documents=boards, cursor=cursor, rows=len(boards))

    def scan_keys(self, span: Span, limit: int) -> KeyPage[BoardKey]:
        with connection.cursor() as cursor:
            cursor.execute(KEYS, {"after": span.after, "until": span.until, "limit": limit})
            weeks = cursor.fetchall()
        keys = [stored_key(*week[1:]) for week in weeks]
        last = str(weeks[-1][0]) if weeks else None
        return KeyPage(keys, last if len(weeks) == limit and last != span.until else None)

    def load(self, keys: Collection[BoardKey], *, lock: bool = False) -> Batch[BoardKey, Board]:
        wanted = set(keys)
        if lock:
            week_ids = [place.week for place in _find(list(keys)) if place.week]
            _query(LOCK, [week_ids])
            found = _read(week_ids)
        else:
            found = list(stored_boards(_query(READ_FOUND, _lists(list(keys))))) if wanted else []
        return Batch(documents=[stored.board for stored in found if stored.board.key in wanted])

    def summaries(self, keys: Collection[BoardKey]) -> dict[BoardKey, WeekSummary]:
        """In colours alone; a week of which a habit has not exactly one mark a day is read whole."""
        found, unclear = modern_summaries.summaries(keys)
        return found | {board.key: summary(board) for board in self.load(unclear).documents}

    def absent(self, keys: Collection[BoardKey]) -> set[BoardKey]:
        asked = list(keys)
        return {key for key, place in zip(asked, _find(asked), strict=True) if place.week is None}

    def save(self, documents: Collection[Board]) -> Saved:
        """Fresh boards are copied in, changed ones changed row by row, equal ones left alone."""
        boards = list(documents)
        places = _query(READ_PLACES, _lists([board.key for board in boards])) if boards else []
        fresh = [(board, child) for board, (week_id, *_, child) in zip(boards, places, strict=True) if week_id is None]
        there = {week_id: board for board, (week_id, *_) in zip(boards, places, strict=True) if week_id is not None}
        stored_weeks = stored_boards([stored for *stored, _ in places if stored[0] is not None])
        with _encodable():
            if fresh:
                _insert([board for board, _ in fresh], [child for _, child in fresh])
            changed = [stored for stored in stored_weeks if not same(stored.board, there[stored.week_id])]
            if changed:
                _change(changed, there)
        return Saved(written=len(fresh) + len(changed), unchanged=len(there) - len(changed))

    def keep_legacy_ids(self, documents: Collection[Board]) -> None:
        """By position, since the boards are equal: a habit that moved among its like keeps its row and its notes."""
        weeks = [place.week for place in _find([board.key for board in documents])]
        ids = [
            (week_id, position, legacy_id)
            for week_id, board in zip(weeks, documents, strict=True)
            for position, habit in enumerate(board.habits)
            if week_id is not None and (legacy_id := legacy_id_kept(habit.legacy_id)) is not None
        ]
        if ids:
            with connection.cursor() as cursor:
                cursor.execute(KEEP_LEGACY_IDS, [list(column) for column in zip(*ids, strict=True)])

    def delete(self, keys: Collection[BoardKey]) -> int:
        """The children stay: they may have a picture and a date of birth, which exist nowhere else."""
        week_ids = [place.week for place in _find(list(keys)) if place.week]
        _query(LOCK, [week_ids])
        deleted = 0
        with connection.cursor() as cursor:
            for statement in DELETE:
                cursor.execute(statement, [week_ids])
                deleted = cursor.rowcount
        return deleted

    def sample(self, size: int, seed: int, *, limit: int, after: Cursor | None = None) -> Page[BoardKey, Board]:
        draw = LOTS.begin(seed, size) if after is None else Draw.of(str(after))
        week_ids = LOTS.rows(draw, seed, limit)
        boards = [stored.board for stored in _read(week_ids)]
        cursor = str(draw.next_page(str(week_ids[-1]), len(boards))) if len(week_ids) == limit else None
        return Page(documents=boards, cursor=cursor, rows=len(boards))

    def strays(self) -> list[Stray]:
        sql = "SELECT count(*), min(id::text) FROM {} WHERE {}"
        found = [(table, *_query(sql.format(table, stray))[0]) for table, stray in STRAY.items()]
        return [Stray(table, rows, example) for table, rows, example in found if rows]

    def remove_strays(self, table: str, limit: int) -> list[RemovedRow]:
        """Two statements: the second sees what was committed since the first began, e.g. a new week."""
        stray = STRAY[table]
        locked = _query(
            f"SELECT id FROM {table} WHERE {stray} ORDER BY id LIMIT %s FOR UPDATE OF {table} SKIP LOCKED", [limit]
        )
        removed = _query(
            f"DELETE FROM {table} WHERE id = ANY (%s::uuid[]) AND {stray} RETURNING id::text, to_jsonb({table})",
            [[row_id for (row_id,) in locked]],
        )
        return [RemovedRow(row_id, json.loads(image)) for row_id, image in removed]

    def estimate(self) -> int | None:
        return int(_query(ESTIMATE)[0][0])


def _query(sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return list(cursor.fetchall())


def _week_ids(span: Span, limit: int) -> list[UUID]:
    conditions = ["true"]
    parameters: list[Any] = []
    if span.after is not None:
        conditions.append("id > %s::uuid")
        parameters.append(span.after)
    if span.until is not None:
        conditions.append("id <= %s::uuid")
        parameters.append(span.until)
    sql = f"SELECT id FROM weeks WHERE {' AND '.join(conditions)} ORDER BY id LIMIT %s"
    return [week_id for (week_id,) in _query(sql, [*parameters, limit])]


def _read(week_ids: Iterable[UUID]) -> list[Stored]:
    wanted = list(week_ids)
    return list(stored_boards(_query(READ, [wanted]))) if wanted else []


def _claimed(week_ids: list[UUID], boards: list[Board], claim: Callable[[Collection[BoardKey]], None]) -> list[Board]:
    """The boards as they are once their keys are claimed and their weeks locked, none under a key not claimed."""
    claimed: set[BoardKey] = set()
    while unclaimed := {board.key for board in boards} - claimed:
        claim(unclaimed)
        claimed |= unclaimed
        _query(LOCK, [week_ids])
        boards = [stored.board for stored in _read(week_ids)]
    return boards


def _find(keys: list[BoardKey]) -> list[_Place]:
    return [_Place(*row) for row in _query(FIND, _lists(keys))] if keys else []


def _lists(keys: list[BoardKey]) -> list[str]:
    """What `FIND` takes."""
    owners, children, mondays = zip(*keys, strict=True)
    return [
        ",".join(map(str, owners)),
        json.dumps(children, ensure_ascii=False),
        ",".join(monday.isoformat() for monday in mondays),
        ",".join(str(missing_child(key) or "") for key in keys),
    ]


def _insert(boards: list[Board], children: list[UUID | None]) -> None:
    """Copy boards in that have no week yet, adding the children that are missing."""
    if None in children:
        new = dict.fromkeys(board.key[:2] for board, child in zip(boards, children, strict=True) if child is None)
        owners, names = zip(*new, strict=True)
        with connection.cursor() as cursor:
            cursor.execute(ADD_CHILDREN, [[ordered_uuid() for _ in new], list(owners), list(names)])
        children = [place.child for place in _find([board.key for board in boards])]
    owned = [(board, _present(child, board).bytes) for board, child in zip(boards, children, strict=True)]
    weeks, week_ids = modern_copy.week_rows(owned)
    _copy(modern_copy.COPY_WEEKS, [weeks])
    _insert_habits(
        [
            (week_id, position, habit, board.key.week_start)
            for board, week_id in zip(boards, week_ids, strict=True)
            for position, habit in enumerate(board.habits)
        ]
    )


def _present(child: UUID | None, board: Board) -> UUID:
    if child is None:
        raise ChildVanished(f"The child {board.key.child!r} of {board.key.owner} vanished while its week was added.")
    return child


def _insert_habits(habits: Sequence[tuple[bytes, int, Habit, Any]]) -> None:
    if not habits:
        return
    rows, lines = modern_copy.habit_rows(habits)
    _copy(modern_copy.COPY_HABITS, [rows])
    _copy(modern_copy.COPY_RECORDS, modern_copy.record_rows(lines))


def _change(seen: Collection[Stored], wanted: Mapping[UUID, Board]) -> None:
    """Bring these weeks to what the boards say, from what is there once their rows are locked. A week whose row is
    still the one that was seen need not be read again; its habits and marks are."""
    week_ids = [stored.week_id for stored in seen]
    locked = dict(_query(LOCK, [week_ids]))
    there = [stored for stored in seen if locked.get(stored.week_id) == stored.version]
    there += _read(locked.keys() - {stored.week_id for stored in there})
    weeks = [(stored, wanted[stored.week_id]) for stored in there]
    found = changes(weeks, _query(DETAILS, [[stored.week_id for stored in there]]))
    with connection.cursor() as cursor:
        for sql, arrays in statements(found):
            cursor.execute(sql, arrays)
    _insert_habits(found.new_habits)
    if found.new_marks:
        _copy(modern_copy.COPY_RECORDS, [modern_copy.loose_record_rows(found.new_marks)])


def _copy(sql: str, pieces: Iterable[bytes]) -> None:
    with connection.cursor() as cursor, connection.wrap_database_errors, cursor.copy(sql) as copy:
        for piece in pieces:
            copy.write(piece)


@contextmanager
def _encodable() -> Iterator[None]:
    """Text that has no UTF-8 form is the database's to refuse; it is refused here in the database's words."""
    try:
        yield
    except UnicodeEncodeError as error:
        raise DataError(f"Text cannot be stored: {error}") from error
