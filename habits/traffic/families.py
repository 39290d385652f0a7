"""Whose traffic it is: families that are there, or families of its own that can be told apart and removed again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from random import Random
from uuid import UUID

from django.db.models import QuerySet

from habits import family
from habits.board import FIRST_MONDAY, BoardKey
from habits.family import Contents, Line
from habits.migration import boards as migration
from habits.models import Child, User
from habits.owners import legacy_owners
from migration_ops import state
from migration_ops.exceptions import UnusableInput
from migration_ops.rollout import reading
from migration_ops.stages import Stage

DOMAIN = "traffic.invalid"
"""Addresses of the families that the traffic made end with this; no mail ever gets there."""

MOST_BOARDS = 12
"""The latest so many boards of a family are used: families look at this week and the last ones."""

_CHILD = "Traffic"
_WEEKS = 3


@dataclass(frozen=True, slots=True)
class Family:
    """One family and the boards it uses; `email` is what one that was made here logs in with."""

    owner: UUID
    boards: tuple[BoardKey, ...]
    email: str = ""


def existing(count: int, *, seed: int) -> list[Family]:
    """So many families that have an account and boards, chosen by the seed; fewer where there are no more.

    Raises:
        UnusableInput: there is none.
    """
    owners = sorted(set(_owners()) & set(User.objects.values_list("id", flat=True)))
    Random(seed).shuffle(owners)  # noqa: S311 - a choice, no secret
    found: list[Family] = []
    for owner in owners:
        keys = sorted(reading.keys(migration, str(owner)), key=lambda key: (key.week_start, key.child))
        if keys:
            found.append(Family(owner, tuple(keys[-MOST_BOARDS:])))
        if len(found) == count:
            break
    if not found:
        raise UnusableInput(
            "There is no family with an account and a board. `seed_legacy` and `import_owners --from-legacy` make some;"
            " with --make-owners the traffic makes its own."
        )
    return found


def made(count: int, *, run: str, password: str | None = None) -> list[Family]:
    """New families with accounts of their own, and a child with a few boards each; without a password none can log
    in."""
    families = []
    for number in range(count):
        user = User.objects.create_user(f"{run}-{number}@{DOMAIN}", password)
        contents = Contents(theme=run, habits=[Line("Brush teeth"), Line("Read a book")])
        keys = []
        for week in range(_WEEKS):
            # The legacy table has one row a child's name and week, whoever owns it: the name is each family's own.
            key = family.key_of(user.id, f"{_CHILD} {run} {number}", FIRST_MONDAY + timedelta(weeks=week))
            family.put(*key, contents)
            keys.append(key)
        families.append(Family(user.id, tuple(keys), user.email))
    return families


def count_made() -> int:
    """How many families made here there are."""
    return _made().count()


def remove_made(run: str = "") -> int:
    """Remove the families that this run made, or every one that was ever made here, their boards in both stores first;
    how many there were."""
    removed = 0
    for user in _made().filter(email__startswith=run).iterator():
        for key in reading.keys(migration, str(user.id)):
            family.delete(*key)
        Child.objects.filter(user=user).delete()
        user.delete()
        removed += 1
    return removed


def _made() -> QuerySet[User]:
    return User.objects.filter(email__endswith=f"@{DOMAIN}")


def _owners() -> list[UUID]:
    if state.read(migration).stage.position > Stage.LIVE.position:
        return list(Child.objects.values_list("user_id", flat=True).distinct())
    return list(legacy_owners())
