"""Accounts for the owners of legacy rows, whose `user_id` becomes the account's id."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from uuid import UUID

from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.db import connection, transaction

from habits.owner_file import OwnerLine, read_owners
from habits.stores.legacy_json import LegacyJsonStore
from habits.stores.legacy_table import LegacyTableStore
from migration_ops.exceptions import UnusableInput

CHUNK = 2_000

# The owners are put side by side in the database, so that memory does not grow with their number.
_STAGE = """
CREATE TEMPORARY TABLE named_owner (number bigint, id uuid, email text, password text) ON COMMIT DROP
"""
_COPY = "COPY named_owner (number, id, email, password) FROM STDIN"

_TWICE = """
SELECT (array_agg(number ORDER BY number))[1:2], min(id::text)
  FROM named_owner GROUP BY id HAVING count(*) > 1 ORDER BY min(number) LIMIT 1
"""
_ONE_ADDRESS = """
SELECT (array_agg(number ORDER BY number))[1:2], (array_agg(email ORDER BY number))[1:2]
  FROM named_owner GROUP BY lower(email) HAVING count(*) > 1 ORDER BY min(number) LIMIT 1
"""
_TAKEN = """
SELECT named.number, named.email, users.email, users.id
  FROM named_owner AS named JOIN users ON lower(users.email) = lower(named.email)
 WHERE NOT EXISTS (SELECT FROM users AS own WHERE own.id = named.id)
 ORDER BY named.number LIMIT 1
"""
_COUNT = """
SELECT count(*) FILTER (WHERE users.id IS NULL), count(users.id)
  FROM named_owner AS named LEFT JOIN users ON users.id = named.id
"""
_CREATE = """
INSERT INTO users (id, email, password, is_active, is_staff, is_superuser)
SELECT id, email, password, %s, false, false FROM named_owner AS named
 WHERE NOT EXISTS (SELECT FROM users WHERE users.id = named.id)
 ORDER BY number
"""


@dataclass(frozen=True, slots=True)
class Imported:
    """How many accounts are new, and how many of the owners had one already."""

    created: int
    existing: int


def import_file(path: Path, *, dry_run: bool = False) -> Imported:
    """Accounts from a CSV file with the columns id and email, with or without a heading; active, without a password.

    An account whose id is there already is left as it is. Addresses that differ in case alone are one address. A dry
    run counts and refuses the same and writes nothing.

    Raises:
        UnusableInput: the file cannot be read, names nobody, or a line cannot be used; nothing was written.
    """
    return _import(read_owners(path), active=True, dry_run=dry_run, place=f"{path}, line")


def import_from_legacy(*, dry_run: bool = False) -> Imported:
    """Inactive accounts without a usable password for every owner that a legacy row names; a dry run only counts.

    Raises:
        UnusableInput: the legacy file cannot be read; nothing was written.
    """
    owners = (
        OwnerLine(number, owner, f"owner-{owner}@legacy.invalid") for number, owner in enumerate(legacy_owners(), 1)
    )
    return _import(owners, active=False, dry_run=dry_run, place="Legacy store, owner")


def legacy_owners() -> Iterator[UUID]:
    """Every owner named in the configured legacy store, each once."""
    json = settings.LEGACY_BACKEND == "json"
    yield from (LegacyJsonStore(settings.LEGACY_JSON_PATH) if json else LegacyTableStore()).owners()


def _import(owners: Iterable[OwnerLine], *, active: bool, dry_run: bool, place: str) -> Imported:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_STAGE)
        _stage(owners)
        cursor.execute("ANALYZE named_owner")
        _refuse_what_stands_twice(place)
        cursor.execute(_TAKEN)
        if taken := cursor.fetchone():
            number, email, known, user = taken
            raise UnusableInput(f"{place} {number}: {email} belongs to user {user} already, as {known}.")
        cursor.execute(_COUNT)
        created, existing = cursor.fetchone()
        if not dry_run:
            cursor.execute(_CREATE, [active])
        # Inside of a larger transaction it would still be there for the next import.
        cursor.execute("DROP TABLE named_owner")
    return Imported(created, existing)


def _stage(owners: Iterable[OwnerLine]) -> None:
    remaining = iter(owners)
    # Owners in the legacy table come over this connection, which a COPY keeps busy: each chunk is read before.
    while chunk := list(islice(remaining, CHUNK)):
        with connection.cursor() as cursor, connection.wrap_database_errors, cursor.copy(_COPY) as copy:
            for owner in chunk:
                copy.write_row((owner.number, owner.id, owner.email, make_password(None)))


def _refuse_what_stands_twice(place: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(_TWICE)
        if found := cursor.fetchone():
            (first, second), owner = found
            raise UnusableInput(f"{place} {second}: id {owner} stands in line {first} already.")
        cursor.execute(_ONE_ADDRESS)
        if found := cursor.fetchone():
            (first, second), (one, other) = found
            same = "" if one == other else ", and upper or lower case makes no other account of it"
            raise UnusableInput(f"{place} {second}: {other} stands in line {first} already, as {one}{same}.")
