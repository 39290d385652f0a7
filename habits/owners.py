"""Accounts for the owners of legacy rows, whose `user_id` becomes the account's id."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from uuid import UUID

from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction

from habits.models import User, UserManager
from habits.stores.legacy_json import LegacyJsonStore
from habits.stores.legacy_rows import owner_of
from habits.stores.legacy_table import LegacyTableStore
from migration_ops.exceptions import UnusableInput

CHUNK = 2_000


@dataclass(frozen=True, slots=True)
class Imported:
    """How many accounts are new, and how many of the owners had one already."""

    created: int
    existing: int


@dataclass(frozen=True, slots=True)
class _Account:
    id: UUID
    email: str
    line: int = 0


def import_file(path: Path, *, dry_run: bool = False) -> Imported:
    """Accounts from a CSV file with the columns id and email, with or without a heading; active, without a password.

    An account whose id is there already is left as it is. A dry run counts and refuses the same and writes nothing.

    Raises:
        UnusableInput: the file cannot be read, or a line cannot be used; nothing was written.
    """
    return _import(_accounts(path), active=True, dry_run=dry_run)


def import_from_legacy(*, dry_run: bool = False) -> Imported:
    """Inactive accounts without a usable password for every owner that a legacy row names; a dry run only counts.

    Raises:
        UnusableInput: the legacy file cannot be read; nothing was written.
    """
    accounts = (_Account(owner, f"owner-{owner}@legacy.invalid") for owner in legacy_owners())
    return _import(accounts, active=False, dry_run=dry_run)


def legacy_owners() -> Iterator[UUID]:
    """Every owner named in the configured legacy store, each once."""
    json = settings.LEGACY_BACKEND == "json"
    yield from (LegacyJsonStore(settings.LEGACY_JSON_PATH) if json else LegacyTableStore()).owners()


def _accounts(path: Path) -> Iterator[_Account]:
    try:
        file = path.open(encoding="utf-8-sig", newline="")
    except OSError as error:
        raise UnusableInput(f"{path} cannot be read: {error.strerror}.") from error
    ids: set[UUID] = set()
    emails: set[str] = set()
    with file:
        reader = csv.reader(file, strict=True)
        try:
            for row in reader:
                if not row or (reader.line_num == 1 and [cell.strip().lower() for cell in row] == ["id", "email"]):
                    continue
                account = _account(row, path, reader.line_num)
                if account.id in ids:
                    raise UnusableInput(f"{path}, line {account.line}: id {account.id} stands there twice.")
                if account.email in emails:
                    raise UnusableInput(f"{path}, line {account.line}: {account.email} stands there twice.")
                ids.add(account.id)
                emails.add(account.email)
                yield account
        except csv.Error as error:
            raise UnusableInput(f"{path}, line {reader.line_num}: {error}.") from error
        except UnicodeDecodeError as error:
            raise UnusableInput(f"{path}, after line {reader.line_num}: this is not UTF-8.") from error


def _account(row: list[str], path: Path, line: int) -> _Account:
    if len(row) != 2:
        raise UnusableInput(f"{path}, line {line}: {len(row)} columns; two are needed, id and email.")
    owner = owner_of(row[0])
    if owner is None:
        raise UnusableInput(f"{path}, line {line}: {row[0][:60]!r} is no UUID.")
    email = UserManager.normalize_email(row[1].strip())
    try:
        validate_email(email)
    except ValidationError:
        raise UnusableInput(f"{path}, line {line}: {row[1][:60]!r} is no e-mail address.") from None
    return _Account(owner, email, line)


def _import(accounts: Iterable[_Account], *, active: bool, dry_run: bool) -> Imported:
    created = existing = 0
    source = iter(accounts)
    with transaction.atomic():
        while chunk := list(islice(source, CHUNK)):
            known = set(User.objects.filter(id__in=[account.id for account in chunk]).values_list("id", flat=True))
            new = [account for account in chunk if account.id not in known]
            taken = dict(User.objects.filter(email__in=[account.email for account in new]).values_list("email", "id"))
            for account in new:
                if account.email in taken:
                    raise UnusableInput(
                        f"Line {account.line}: {account.email} belongs to user {taken[account.email]} already."
                    )
            if not dry_run:
                User.objects.bulk_create(
                    [
                        User(id=account.id, email=account.email, is_active=active, password=make_password(None))
                        for account in new
                    ]
                )
            created += len(new)
            existing += len(known)
    return Imported(created, existing)
