"""What the backfill makes of database errors: the table of cases."""

from __future__ import annotations

import pytest
from django.db import (
    DataError,
    Error,
    IntegrityError,
    InterfaceError,
    InternalError,
    OperationalError,
    ProgrammingError,
)
from hypothesis import given
from hypothesis import strategies as st

from migration_ops.backfill.errors import (
    LOCK_RETRIES,
    REFUSALS,
    Action,
    Backoff,
    Decision,
    Kind,
    decide,
    kind,
    sentence,
    sqlstate,
)

BACKOFF = Backoff(first=0.1, longest=5.0)


class DriverError(Exception):
    def __init__(self, state: str) -> None:
        super().__init__(state)
        self.sqlstate = state


def raised(state: str, wrapper: type[Error] = OperationalError) -> Error:
    try:
        raise wrapper("it said no\nDETAIL: and more") from DriverError(state)
    except Error as error:
        return error


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("40001", Kind.CONFLICT),
        ("40P01", Kind.CONFLICT),
        ("55P03", Kind.BLOCKED),
        ("57014", Kind.BLOCKED),
        ("08000", Kind.DISCONNECTED),
        ("08006", Kind.DISCONNECTED),
        ("57P01", Kind.DISCONNECTED),
        ("57P02", Kind.DISCONNECTED),
        ("57P03", Kind.DISCONNECTED),
        ("25P03", Kind.DISCONNECTED),
        ("53100", Kind.EXHAUSTED),
        ("53200", Kind.EXHAUSTED),
        ("53300", Kind.EXHAUSTED),
        ("58030", Kind.EXHAUSTED),
        ("22001", Kind.ROW),
        ("22P05", Kind.ROW),
        ("23502", Kind.ROW),
        ("23503", Kind.ROW),
        ("23505", Kind.ROW),
        ("23514", Kind.ROW),
        ("54000", Kind.ROW),
        ("P0001", Kind.ROW),
        ("ZZ999", Kind.ROW),
        ("42P01", Kind.DEFECT),
        ("42703", Kind.DEFECT),
        ("42501", Kind.DEFECT),
        ("25006", Kind.DEFECT),
        ("3F000", Kind.DEFECT),
        ("55000", Kind.DEFECT),
        ("XX001", Kind.DEFECT),
    ],
)
def test_every_sqlstate_has_its_kind(state: str, expected: Kind) -> None:
    assert kind(raised(state)) is expected


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (DataError("PostgreSQL text fields cannot contain NUL (0x00) bytes"), Kind.ROW),
        (IntegrityError(), Kind.ROW),
        (OperationalError("the connection is lost"), Kind.DISCONNECTED),
        (InterfaceError("the connection is closed"), Kind.DISCONNECTED),
        (ProgrammingError("the query has 2 placeholders but 1 parameters were passed"), Kind.DEFECT),
        (InternalError(), Kind.DEFECT),
    ],
)
def test_without_sqlstate_the_class_decides(error: Error, expected: Kind) -> None:
    assert kind(error) is expected


@pytest.mark.parametrize(
    ("problem", "attempt", "rows", "expected"),
    [
        (Kind.CONFLICT, 1, 100, Action.SHRINK),
        (Kind.CONFLICT, 3, 100, Action.SHRINK),
        (Kind.CONFLICT, 4, 100, Action.BISECT),
        (Kind.CONFLICT, 1, 1, Action.RETRY),
        (Kind.CONFLICT, LOCK_RETRIES, 1, Action.RETRY),
        (Kind.CONFLICT, LOCK_RETRIES + 1, 1, Action.SET_ASIDE),
        (Kind.CONFLICT, REFUSALS + 1, 100, Action.FAIL),
        (Kind.CONFLICT, REFUSALS + 1, 1, Action.FAIL),
        (Kind.BLOCKED, 1, 100, Action.SHRINK),
        (Kind.BLOCKED, LOCK_RETRIES, 1, Action.RETRY),
        (Kind.BLOCKED, LOCK_RETRIES + 1, 1, Action.PAUSE),
        (Kind.BLOCKED, LOCK_RETRIES + 1, 100, Action.PAUSE),
        (Kind.DISCONNECTED, 1, 100, Action.RECONNECT),
        (Kind.DISCONNECTED, 3, 1, Action.RECONNECT),
        (Kind.DISCONNECTED, 4, 1, Action.FAIL),
        (Kind.EXHAUSTED, 1, 100, Action.PAUSE),
        (Kind.EXHAUSTED, 1, 1, Action.PAUSE),
        (Kind.ROW, 1, 1_000, Action.BISECT),
        (Kind.ROW, 11, 2, Action.BISECT),
        (Kind.ROW, 12, 1, Action.SET_ASIDE),
        (Kind.ROW, REFUSALS + 1, 1, Action.FAIL),
        (Kind.DEFECT, 1, 1_000, Action.FAIL),
        (Kind.DEFECT, 1, 1, Action.FAIL),
    ],
)
def test_what_to_do(problem: Kind, attempt: int, rows: int, expected: Action) -> None:
    assert decision(problem, attempt, rows).action is expected


def decision(problem: Kind, attempt: int, rows: int, *, alone: int | None = None, suspects: int = 0) -> Decision:
    """About a batch that failed at one row from the beginning, where it has one."""
    return decide(
        problem,
        attempt=attempt,
        alone=alone if alone is not None else attempt if rows == 1 else 0,
        rows=rows,
        suspects=suspects,
        retries=3,
        backoff=BACKOFF,
        jitter=0.0,
    )


def test_attempts_at_more_rows_do_not_count_against_the_one_that_is_left() -> None:
    assert decision(Kind.CONFLICT, LOCK_RETRIES + 10, 1, alone=LOCK_RETRIES).action is Action.RETRY
    assert decision(Kind.CONFLICT, 11, 1, alone=1).delay == BACKOFF.first


def test_a_search_for_the_row_in_conflict_goes_on_where_it_was() -> None:
    assert decision(Kind.CONFLICT, 1, 10, suspects=20).action is Action.BISECT


@given(problem=st.sampled_from(Kind), rows=st.integers(1, 1_000))
def test_every_kind_comes_to_an_end(problem: Kind, rows: int) -> None:
    """Whatever goes on going wrong with a batch, the backfill does not try for ever."""
    alone = 0
    for attempt in range(1, 100):
        alone = alone + 1 if rows == 1 else 0
        action = decision(problem, attempt, rows, alone=alone).action
        if action in (Action.FAIL, Action.PAUSE):
            return
        if action in (Action.BISECT, Action.SHRINK):
            rows = max(1, rows // 2)
    pytest.fail("It never gave up.")


@given(attempt=st.integers(1, 10_000), jitter=st.floats(0, 0.999))
def test_delays_double_up_to_a_bound_and_disperse(attempt: int, jitter: float) -> None:
    delay = BACKOFF.delay(attempt, jitter)
    full = min(5.0, 0.1 * 2 ** min(attempt - 1, 60))
    assert full / 2 <= delay <= full


def test_a_row_that_is_refused_is_not_waited_for() -> None:
    assert decision(Kind.ROW, 5, 8).delay == 0.0


def test_a_sentence_has_the_first_line_and_the_sqlstate() -> None:
    assert sentence(raised("23514")) == "it said no (23514)"
    assert sentence(OperationalError()) == "OperationalError"
    assert sqlstate(OperationalError()) == ""
