"""Templates: habits to begin a week with, for one child or shared by the family.

They exist in the modern schema only, at every stage, whichever store the family's boards are served from. Applying one
changes the board through `family`, so the board is in both stores and nothing of it depends on the template afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import Enum
from typing import Any, Final
from uuid import UUID

from django.db import connection, transaction
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from habits import family
from habits.asides import aside
from habits.board import Board, BoardError, BoardKey, storable
from habits.identifiers import ordered_uuid
from habits.models import Child, HabitTemplate, User, Week
from habits.models.boards import HABIT_NAME_LENGTH
from habits.template_habits import Mode, applied, names_checked
from migration_ops.conf import settings
from migration_ops.definition import Side
from migration_ops.locks import wait_at_most
from migration_ops.sync import origin
from migration_ops.sync.dual_write import Outcome

MOST_TEMPLATES = 100
"""Of a family."""

LONGEST_NAME = HABIT_NAME_LENGTH

ADD_CHILD = "INSERT INTO children (id, user_id, name) VALUES (%s, %s, %s) ON CONFLICT (user_id, name) DO NOTHING"

NOTE_ON_WEEK = """
UPDATE weeks w SET template_id = t.id, updated_at = statement_timestamp()
  FROM children c, (SELECT id FROM habit_templates WHERE id = %(template)s AND user_id = %(owner)s FOR KEY SHARE) AS t
 WHERE c.user_id = %(owner)s AND c.name = %(child)s AND w.child_id = c.id AND w.week_start_date = %(week_start)s
   AND w.template_id IS DISTINCT FROM t.id
"""


class NoSuchTemplate(LookupError):
    """This family has no such template."""


class InvalidTemplate(BoardError):
    """The template cannot be like that."""


class TooManyTemplates(InvalidTemplate):
    """The family has as many templates as there can be."""


class ForAnotherChild(InvalidTemplate):
    """The template is not for this child."""


class WouldOverwrite(Exception):
    """The week has habits that would be replaced."""


class _Same(Enum):
    SAME = "same"


SAME: Final = _Same.SAME
"""In `change`: this stays as it is."""


@dataclass(frozen=True, slots=True)
class Template:
    """A template of a family.

    Attributes:
        habits: names, in order.
        child: whose it is; None if the family shares it.
        is_default: what new weeks of this child, or of every child without a default of its own, begin with.
    """

    id: UUID
    name: str
    description: str
    habits: tuple[str, ...]
    child: str | None
    is_default: bool


def listed(*, owner: UUID, child: str | None = None) -> tuple[Template, ...]:
    """The family's templates, the shared ones first, then by child; defaults before others, then by name.

    Args:
        child: only what this child's weeks can begin with: its own and the shared ones.
    """
    rows = HabitTemplate.objects.filter(user_id=owner).select_related("child")
    found = [_template(row) for row in rows]
    if child is not None:
        name = family.child_name(child)
        found = [template for template in found if template.child in (None, name)]
    return tuple(sorted(found, key=lambda t: (t.child or "", not t.is_default, t.name, t.id)))


def get(*, owner: UUID, template: UUID) -> Template:
    """One template.

    Raises:
        NoSuchTemplate: the family has none with this id.
    """
    row = HabitTemplate.objects.filter(user_id=owner, pk=template).select_related("child").first()
    if row is None:
        raise NoSuchTemplate(_("There is no such template."))
    return _template(row)


def default_for(*, owner: UUID, child: str) -> Template | None:
    """What a new week of this child begins with: its own default, else the shared one."""
    defaults = [template for template in listed(owner=owner, child=child) if template.is_default]
    return defaults[-1] if defaults else None  # the shared one comes first


def create(
    *,
    owner: UUID,
    name: str,
    habits: Sequence[str],
    description: str = "",
    child: str | None = None,
    is_default: bool = False,
) -> Template:
    """Make a template. A default takes the place of the one there was.

    Raises:
        BoardError: the name, the description, a habit or the child's name cannot be, or there are too many.
    """
    _check(name, description)
    checked = _habits_checked(habits)
    with transaction.atomic():
        _alone(owner)
        if HabitTemplate.objects.filter(user_id=owner).count() >= MOST_TEMPLATES:
            raise TooManyTemplates(
                _("A family has at most %(most)s templates; delete one first.") % {"most": MOST_TEMPLATES}
            )
        row = HabitTemplate(user_id=owner, child=_child(owner, child), name=name, description=description)
        row.habits = _stored(checked)
        row.is_default = is_default
        _make_room(row)
        row.save(force_insert=True)
    return _template(row)


def create_from_week(
    *, owner: UUID, child: str, day: date, name: str, description: str = "", shared: bool = False
) -> Template:
    """Make a template of the habits of this day's week, for the child or shared by the family.

    Raises:
        NoSuchBoard: the child has no such week.
        BoardError: as `create`.
    """
    board = family.board(owner, child, day).board
    return create(
        owner=owner,
        name=name,
        description=description,
        habits=[line.name for line in board.habits],
        child=None if shared else board.key.child,
    )


def change(
    *,
    owner: UUID,
    template: UUID,
    name: str | _Same = SAME,
    habits: Sequence[str] | _Same = SAME,
    description: str | _Same = SAME,
    child: str | _Same | None = SAME,
    is_default: bool | _Same = SAME,
) -> Template:
    """Change what is given of a template and leave the rest. A default takes the place of the one there was.

    Raises:
        NoSuchTemplate: the family has none with this id.
        BoardError: as `create`.
    """
    checked = SAME if habits is SAME else _habits_checked(habits)
    with transaction.atomic():
        _alone(owner)
        row = _locked(owner, template)
        row.name = row.name if name is SAME else name
        row.description = row.description if description is SAME else description
        _check(row.name, row.description or "")
        row.habits = row.habits if checked is SAME else _stored(checked)
        row.child = row.child if child is SAME else _child(owner, child)
        row.is_default = row.is_default if is_default is SAME else is_default
        _make_room(row)
        row.save(force_update=True)
    return _template(row)


def delete(*, owner: UUID, template: UUID) -> None:
    """Delete a template. Weeks that began with it stay as they are.

    Raises:
        NoSuchTemplate: the family has none with this id.
    """
    with transaction.atomic():
        _alone(owner)
        row = _locked(owner, template)
        origin.announce()  # which template a week began with is no part of its board
        weeks = Week.objects.filter(template_id=row.pk)
        list(weeks.order_by("id").select_for_update(no_key=True).values_list("pk"))  # in the order in which all do
        weeks.update(template=None)
        row.delete()


def apply(
    *,
    owner: UUID,
    template: UUID,
    child: str,
    day: date,
    mode: Mode = Mode.REPLACE,
    overwrite: bool = False,
    seen: family.Seen = None,
    must_exist: bool | None = None,
) -> family.Written:
    """Give this day's week the template's habits; there is a week afterwards. Marks of habits that stay are kept.

    Args:
        overwrite: whether `Mode.REPLACE` may go at habits that the week has already.
        seen, must_exist: as for `family.put`.

    Raises:
        NoSuchTemplate: the family has none with this id.
        ForAnotherChild: it is another child's.
        WouldOverwrite: the week has habits, and `overwrite` was not said; nothing was changed.
        BoardError: the child's name or the week cannot be, or the board would have too many habits.
        Changed: as for `family.put`.
    """
    found = get(owner=owner, template=template)
    key = family.key_of(owner, child, day)
    if found.child not in (None, key.child):
        raise ForAnotherChild(
            _("This template is for %(child)s; share it with the family first.") % {"child": found.child}
        )

    def with_habits(board: Board) -> Board:
        if mode is Mode.REPLACE and board.habits and not overwrite:
            raise WouldOverwrite(
                _("The week has %(count)s habits already; say that they may be overwritten, or append to them.")
                % {"count": len(board.habits)}
            )
        return applied(board, found.habits, mode)

    with transaction.atomic():
        written = family.change_or_begin(owner, child, day, with_habits, seen=seen, must_exist=must_exist)
        _note_on_week(key, found, written)
    return written


def _note_on_week(key: BoardKey, template: Template, written: family.Written) -> None:
    """Modern remembers what the week began with, where it has the week. A copy that just failed is left alone."""
    if written.outcome is Outcome.FAILED and written.served.side is Side.LEGACY:
        return
    with aside(f"the note that a week began with template {template.id}"), connection.cursor() as cursor:
        cursor.execute(NOTE_ON_WEEK, {"template": template.id, **key._asdict()})


def _template(row: HabitTemplate) -> Template:
    return Template(
        id=row.pk,
        name=row.name,
        description=row.description or "",
        habits=tuple(entry["name"] for entry in row.habits),
        child=None if row.child is None else row.child.name,
        is_default=row.is_default,
    )


def _stored(names: Sequence[str]) -> list[dict[str, Any]]:
    return [{"name": name} for name in names]


def _alone(owner: UUID) -> None:
    """Change the templates of a family one after the other, so that what counts them or moves the default is right."""
    wait_at_most(settings().write_patience)
    User.objects.select_for_update(no_key=True).only("pk").get(pk=owner)


def _locked(owner: UUID, template: UUID) -> HabitTemplate:
    rows = HabitTemplate.objects.filter(user_id=owner, pk=template)
    row = rows.select_related("child").select_for_update(of=("self",)).first()
    if row is None:
        raise NoSuchTemplate(_("There is no such template."))
    return row


def _child(owner: UUID, name: str | None) -> Child | None:
    """The row of this child; made where its weeks are in legacy alone so far, or yet to come."""
    if name is None:
        return None
    name = family.child_name(name)
    with connection.cursor() as cursor:
        cursor.execute(ADD_CHILD, [ordered_uuid(), owner, name])
    return Child.objects.get(user_id=owner, name=name)


def _make_room(row: HabitTemplate) -> None:
    """Take the default from the one that has it, if this row is to be it."""
    if row.is_default:
        others = HabitTemplate.objects.filter(user_id=row.user_id, child=row.child, is_default=True)
        others.exclude(pk=row.pk).update(is_default=False, updated_at=Now())


def _check(name: str, description: str) -> None:
    if not name.strip() or len(name) > LONGEST_NAME:
        raise InvalidTemplate(_("A template needs a name of 1 to %(most)s characters.") % {"most": LONGEST_NAME})
    if len(description) > family.MOST_CHARACTERS:
        raise InvalidTemplate(
            _("A template's description has at most %(most)s characters.") % {"most": family.MOST_CHARACTERS}
        )
    if not storable(name + description):
        raise InvalidTemplate(_("The text contains characters that cannot be stored."))


def _habits_checked(names: Sequence[str]) -> tuple[str, ...]:
    if not 1 <= len(names) <= family.MOST_HABITS:
        raise InvalidTemplate(_("A template has 1 to %(most)s habits.") % {"most": family.MOST_HABITS})
    return names_checked(names)
