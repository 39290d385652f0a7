"""The legacy store behind the table `habit_tracker`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from copy import copy
from functools import partial
from uuid import UUID

from django.db import connection

from habits.board import DAYS, Board, BoardKey
from habits.stores import legacy_writes as writes
from habits.stores.draw import Draw, Lots
from habits.stores.legacy_boards import (
    Accepted,
    AssembledBoard,
    Assembly,
    assemble,
    left_always,
    left_by_decision,
)
from habits.stores.legacy_changes import new_record, periods_of, write_back
from habits.stores.legacy_contents import Outcome, contents_of_page, contents_of_rows, every_content, kept_contents
from habits.stores.legacy_heads import (
    heads_of_keys,
    heads_of_rows,
    keys_of_owner,
    missing_exactly,
    periods_taken,
    row_numbers,
    users_among,
)
from habits.stores.legacy_rows import owner_of
from habits.stores.legacy_schema import TABLE
from habits.stores.legacy_sizes import first_rows, first_within
from migration_ops.definition import Batch, CapturedTable, Cursor, Page, Rejection, Saved, Span
from migration_ops.exceptions import DocumentHeld, UnusableInput
from migration_ops.sentence import said
from migration_ops.sync.quarantining import accepted_rows

LOTS = Lots(table=TABLE, id_type="bigint", hashed="hashint8extended(id, %s)")


class LegacyTableStore:
    """Boards made of the rows of `habit_tracker`, in the order of their ids.

    Args:
        accepted: fingerprints of those of the given rows that a person decided to leave behind.
        migration: under whose name removed rows are archived.
    """

    captured_tables = (CapturedTable(TABLE, "id::text"),)
    transactional = True

    def __init__(self, accepted: Accepted | None = None, migration: str = "boards") -> None:
        self._left_behind = left_by_decision(accepted or partial(accepted_rows, migration))
        self._migration = migration

    def without_rejected(self) -> LegacyTableStore:
        store = copy(self)
        store._left_behind = left_always
        return store

    def keys_of_unit(self, unit: str) -> set[BoardKey]:
        owner = owner_of(unit)
        return set() if owner is None else keys_of_owner(owner)

    def spans(self, parts: int) -> list[Span]:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT percentile_disc(%s::float8[]) WITHIN GROUP (ORDER BY id) FROM habit_tracker",
                [[part / parts for part in range(1, parts + 1)]],
            )
            bounds = sorted(set(cursor.fetchone()[0] or ()))
        return [Span(after, until) for after, until in zip([None, *bounds], bounds, strict=False)]

    def scan(
        self, span: Span, limit: int, *, claim: Callable[[Collection[BoardKey]], None] | None = None
    ) -> Page[BoardKey, Board]:
        """As `Store.scan`; a page of large rows, or of rows whose boards have large rows elsewhere, may hold fewer."""
        seen, cursor = contents_of_page(span, limit)
        page = {number: row.outcome.key for number, row in seen.items()}
        keys = _readable(page.values())
        if claim is not None:
            claim(keys)
        rows, others = first_rows(page, heads_of_keys(keys, known=page))
        if len(rows) < len(page):
            cursor = rows[-1]
        numbers = {*rows, *others}
        if claim is None:
            contents = [seen[number].outcome for number in numbers & seen.keys()]
            contents += contents_of_rows(numbers - seen.keys())
        else:
            contents = kept_contents(numbers, seen)
        outcomes = {outcome.row: outcome for outcome in contents}
        present = set(map(str, rows)) & outcomes.keys()
        known = _readable(page[number] for number in rows)
        while claim is not None and (new := _readable(outcomes[row].key for row in present) - known):
            # These rows changed their keys before they were locked.
            claim(new)
            known |= new
            more = heads_of_keys(new, known=[int(row) for row in outcomes])
            outcomes |= {outcome.row: outcome for outcome in contents_of_rows(more, lock="share")}
        return self._assemble(outcomes.values()).page(present, cursor)

    def load(self, keys: Collection[BoardKey], *, lock: bool = False) -> Batch[BoardKey, Board]:
        return self._load(keys, lock="share" if lock else "").batch()

    def load_rows(self, keys: Collection[BoardKey], rows: Collection[str]) -> Batch[BoardKey, Board]:
        outcomes = contents_of_rows(row_numbers(rows), owners={key.owner for key in keys})
        return self._assemble([outcome for outcome in outcomes if outcome.key in set(keys)]).batch()

    def absent(self, keys: Collection[BoardKey]) -> set[BoardKey]:
        missing = missing_exactly(keys)
        return missing - _readable(head.key for head in heads_of_keys(missing).values())

    def save(self, documents: Collection[Board]) -> Saved:
        """Make the rows say what these boards say.

        Raises:
            DocumentHeld: a row of one of them is in quarantine; nobody but a person may decide what becomes of it.
        """
        boards = {board.key: board for board in documents}
        current = {assembled.board.key: assembled for assembled in self._writable(boards)}
        updates, removed, inserts = [], [], []
        for key, board in boards.items():
            assembled = current.get(key)
            if assembled is None:
                inserts.append(new_record(board))
            elif change := write_back(assembled, board):
                updates.append((assembled.rows[0].id, change.changes))
                removed += [(row.id, key) for row in change.removed]
        writes.archive_and_delete(self._migration, removed)
        writes.update_rows(updates)
        writes.insert_rows(inserts)
        written = len(updates) + len(inserts)
        return Saved(written, len(boards) - written)

    def refusals(self, documents: Collection[Board]) -> dict[BoardKey, str]:
        boards = {board.key: board for board in documents}
        taken = periods_taken({key: periods_of(key.week_start) for key in self.absent(boards)})
        return {
            key: said(
                "All %(periods)s periods of this week under the name %(child)s are taken by other rows.",
                periods=str(DAYS),
                child=repr(key.child),
            )
            for key in taken
        }

    def delete(self, keys: Collection[BoardKey]) -> int:
        """Remove the rows of these boards, after a copy of each went to the archive; how many boards there were.

        Raises:
            DocumentHeld: a row of one of them is in quarantine.
        """
        boards = self._writable(keys)
        writes.archive_and_delete(self._migration, [(row.id, row.key) for board in boards for row in board.rows])
        return len(boards)

    def sample(self, size: int, seed: int, *, limit: int, after: Cursor | None = None) -> Page[BoardKey, Board]:
        """Rows are drawn; a board counts where its leading row comes up, so that further rows are drawn until it is
        enough."""
        draw = LOTS.begin(seed, size) if after is None else Draw.of(str(after))
        numbers = LOTS.rows(draw, seed, limit)
        heads = first_within(heads_of_rows(numbers))
        page = {number: head.key for number, head in heads.items()}
        rows, others = first_rows(page, heads_of_keys(_readable(page.values()), known=page))
        found = self._assemble(contents_of_rows({*rows, *others})).page(set(map(str, rows)), None)
        if len(numbers) == limit or len(rows) < len(numbers):
            # A row that is gone by now is no reason to stop.
            last = rows[-1] if rows else numbers[-1]
            found.cursor = str(draw.next_page(last, len(found.documents)))
        elif draw.high is not None and (left := size - draw.found - len(found.documents)) > 0:
            found.cursor = str(LOTS.begin(seed, left, draw.high, size - left))
        return found

    def estimate(self) -> int | None:
        """From the planner's statistics, scaled by how much the table grew since; counted where there are none."""
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT CASE WHEN reltuples > 0 AND relpages > 0 THEN"
                " round(reltuples / relpages * (pg_relation_size(oid) / current_setting('block_size')::int)) END"
                " FROM pg_class WHERE oid = to_regclass(%s)",
                [TABLE],
            )
            found = cursor.fetchone()
            if found is None:
                return None
            if found[0] is None:
                cursor.execute("SELECT count(*) FROM habit_tracker")
                found = cursor.fetchone()
        return int(found[0])

    def keys_of(self, rows: Collection[str]) -> dict[str, BoardKey | None]:
        return {str(number): head.key for number, head in heads_of_rows(row_numbers(rows)).items()}

    def keyless(self, rows: Collection[str]) -> list[Rejection[BoardKey]]:
        outcomes = contents_of_rows(row_numbers(rows))
        return self._assemble([outcome for outcome in outcomes if outcome.key is None]).rejections

    def assign_unit(self, rows: Collection[str], unit: str) -> int:
        owner = owner_of(unit)
        if owner is None or not users_among([str(owner)]):
            raise UnusableInput(f"There is no user {unit}; create the account first.")
        return writes.assign_owner(rows, owner)

    def version(self) -> str | None:
        return None

    def fingerprints(self) -> Iterator[tuple[str, str]]:
        for outcome in every_content():
            yield outcome.row, outcome.fingerprint

    def owners(self) -> Iterator[UUID]:
        """Every owner that a row names, each once."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT DISTINCT user_id FROM habit_tracker WHERE user_id IS NOT NULL ORDER BY user_id")
            yield from (owner for (owner,) in cursor.fetchall())

    def _writable(self, keys: Collection[BoardKey]) -> list[AssembledBoard]:
        assembly = self._load(keys, lock="update")
        for rejection in assembly.rejections:
            if not rejection.accepted:
                raise DocumentHeld(
                    f"Row {rejection.row} is in quarantine ({rejection.code}), so its board was not written."
                )
        return assembly.boards

    def _load(self, keys: Collection[BoardKey], *, lock: str) -> Assembly:
        """Where rows are gone by the time they are read, others may have come in their place: an old client saves by
        deleting and inserting. Then they are looked for again, until nothing moves any more."""
        wanted, sought = set(keys), None
        while True:
            heads = heads_of_keys(wanted)
            if heads.keys() == sought:
                break
            sought = heads.keys()
            outcomes = [outcome for outcome in contents_of_rows(sought, lock=lock) if outcome.key in wanted]
            if len(outcomes) == len(sought):
                break
        return self._assemble(outcomes)

    def _assemble(self, outcomes: Collection[Outcome]) -> Assembly:
        rejected = [outcome for outcome in outcomes if isinstance(outcome, Rejection)]
        return assemble(outcomes, self._left_behind(rejected) if rejected else {})


def _readable(keys: Iterable[BoardKey | None]) -> set[BoardKey]:
    return {key for key in keys if key is not None}
