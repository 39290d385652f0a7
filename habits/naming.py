"""How staff name an owner and a board: as they know them, and never by a guess."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Final
from uuid import UUID

from django.utils.translation import gettext_noop

from habits.board import FIRST_MONDAY, LAST_MONDAY, MAX_CHILD_NAME, BoardKey, monday_of, normal_child_name
from habits.models import User
from habits.stores.legacy_rows import owner_of
from migration_ops.definition import KeyForm, KeyPart
from migration_ops.exceptions import UnusableInput
from migration_ops.sentence import said


def owner_named(text: str) -> str:
    """The id of the account that has this id or e-mail address.

    Raises:
        UnusableInput: no account has, or several addresses differ from it in upper and lower case alone.
    """
    typed = text.strip()
    owner = owner_of(typed)
    if owner is not None:
        if not User.objects.filter(pk=owner).exists():
            raise UnusableInput(said("There is no user %(id)s; create the account first.", id=typed))
        return str(owner)
    try:
        return str(User.objects.get_by_natural_key(typed).pk)
    except User.DoesNotExist:
        raise UnusableInput(
            said("%(text)s is neither the id nor the e-mail address of exactly one account.", text=repr(typed))
        ) from None


def board_named(parts: Mapping[str, str]) -> BoardKey:
    """The key of the board of this owner, child and day; any day of the week will do. The board need not exist.

    Raises:
        UnusableInput: a part names nothing.
    """
    child = normal_child_name(parts.get("child", ""))
    if not 1 <= len(child) <= MAX_CHILD_NAME or "\x00" in child:
        raise UnusableInput(said("Say the child's name, in 1 to %(most)s characters.", most=str(MAX_CHILD_NAME)))
    try:
        monday = monday_of(date.fromisoformat(parts.get("week_start", "").strip()))
    except (ValueError, OverflowError):
        raise UnusableInput(said("Say a day of the week as a date, e.g. 2025-07-21.")) from None
    if not FIRST_MONDAY <= monday <= LAST_MONDAY:
        raise UnusableInput(said("There are boards for the weeks of 2000 to 2100 only."))
    return BoardKey(UUID(owner_named(parts.get("owner", ""))), child, monday)


BOARD_FORM: Final = KeyForm(
    parts=(
        KeyPart("owner", gettext_noop("Account: e-mail address or ID")),
        KeyPart("child", gettext_noop("Child")),
        KeyPart("week_start", gettext_noop("A day of the week"), is_date=True),
    ),
    read=board_named,
)
