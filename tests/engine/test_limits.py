"""The limits around what waits for nobody: they hold within the block, and nothing of them is left afterwards."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import transaction
from django.db.utils import DataError

from migration_ops import locks
from tests.engine.syncing import rows, run

SETTINGS = ("lock_timeout", "statement_timeout", "row_security")


def now() -> tuple[str, ...]:
    return tuple(rows(f"SHOW {name}")[0][0] for name in SETTINGS)


def _fail_within_limits() -> None:
    with transaction.atomic(), locks.limited(lock=timedelta(milliseconds=50), statement=timedelta(seconds=2)):
        run("SELECT 1 / 0")


@pytest.mark.parametrize("before", [("0", "0", "on"), ("3s", "4s", "off")])
def test_afterwards_they_are_what_they_were(transactional_db: None, before: tuple[str, ...]) -> None:
    with transaction.atomic():
        for name, value in zip(SETTINGS, before, strict=True):
            run("SELECT set_config(%s, %s, true)", name, value)
        with locks.limited(lock=timedelta(milliseconds=50), statement=timedelta(milliseconds=70)):
            assert now() == ("50ms", "70ms", "off")
        assert now() == before


def test_whoever_rolls_back_has_them_back_too(transactional_db: None) -> None:
    with transaction.atomic():
        before = now()
        with pytest.raises(DataError):
            _fail_within_limits()
        assert now() == before
