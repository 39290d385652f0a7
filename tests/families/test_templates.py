"""Templates: one default, nobody else's, and applied to the week in both stores."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection, transaction

from habits import family, templates
from habits.board import Board, BoardError, BoardKey, InvalidHabitName, InvalidText
from habits.family import Contents, InvalidChildName, Line, NoSuchBoard, TooMuch
from habits.migration import boards as migration
from habits.models import Child, HabitTemplate, User, Week
from habits.template_habits import Mode
from habits.templates import InvalidTemplate, NoSuchTemplate, Template, WouldOverwrite
from migration_ops.definition import Side
from migration_ops.models import DirtyKey
from migration_ops.sync import applier
from migration_ops.sync.dual_write import Outcome
from tests.engine.syncing import run
from tests.engine.waiting import InThread, until_somebody_waits
from tests.habits.legacy_files import OTHER, OWNER

DAY = date(2025, 7, 23)
KEY = BoardKey(OWNER, "지우", date(2025, 7, 21))
GREEN = ("green",) * 7


@pytest.fixture
def families(db: None) -> None:
    for owner in (OWNER, OTHER):
        User.objects.create(id=owner, email=f"{owner}@example.org")


def create(name: str = "아침", *, owner: UUID = OWNER, habits: list[str] | None = None, **given: Any) -> Template:
    return templates.create(owner=owner, name=name, habits=habits or ["물", "책"], **given)


def names(owner: UUID = OWNER, **given: Any) -> list[str]:
    return [template.name for template in templates.listed(owner=owner, **given)]


def defaults() -> list[tuple[str | None, str]]:
    return [(template.child, template.name) for template in templates.listed(owner=OWNER) if template.is_default]


@pytest.mark.usefixtures("families")
def test_a_template_is_listed_as_it_was_made_and_to_its_family_only() -> None:
    made = create("학교 가는 날", description="월요일부터", child=" 지우 ", is_default=True)
    assert made == templates.get(owner=OWNER, template=made.id)
    assert templates.listed(owner=OWNER) == (made,)
    assert (made.name, made.description, made.habits) == ("학교 가는 날", "월요일부터", ("물", "책"))
    assert (made.child, made.is_default) == ("지우", True)
    assert templates.listed(owner=OTHER) == ()
    with pytest.raises(NoSuchTemplate):
        templates.get(owner=OTHER, template=made.id)


@pytest.mark.usefixtures("families")
def test_a_child_is_offered_its_own_templates_and_the_shared_ones() -> None:
    create("나눔"), create("지우의", child="지우"), create("하늘의", child="하늘")
    create("먼저", is_default=True)
    assert names() == ["먼저", "나눔", "지우의", "하늘의"]
    assert names(child="지우") == ["먼저", "나눔", "지우의"]


@pytest.mark.usefixtures("families")
def test_a_child_that_is_in_legacy_alone_gets_its_row_once() -> None:
    create("하나", child="지우"), create("둘", child="지우"), create("셋", owner=OTHER, child="지우")
    assert sorted(Child.objects.values_list("user_id", "name")) == sorted([(OWNER, "지우"), (OTHER, "지우")])


@pytest.mark.usefixtures("families")
def test_a_new_default_takes_the_place_of_the_old_one_of_the_same_child() -> None:
    create("나눔", is_default=True)
    create("지우의", child="지우", is_default=True)
    create("하늘의", child="하늘", is_default=True)
    second = create("지우의 둘째", child="지우", is_default=True)
    assert defaults() == [(None, "나눔"), ("지우", "지우의 둘째"), ("하늘", "하늘의")]
    templates.change(owner=OWNER, template=second.id, child=None)
    assert defaults() == [(None, "지우의 둘째"), ("하늘", "하늘의")]


@pytest.mark.usefixtures("families")
def test_a_week_begins_with_the_childs_default_or_else_with_the_shared_one() -> None:
    assert templates.default_for(owner=OWNER, child="지우") is None
    shared = create("나눔", is_default=True)
    own = create("지우의", child="지우", is_default=True)
    assert templates.default_for(owner=OWNER, child="지우") == own
    assert templates.default_for(owner=OWNER, child="하늘") == shared


@pytest.mark.usefixtures("families")
def test_what_is_not_given_stays_as_it_is() -> None:
    made = create("아침", description="설명", child="지우", is_default=True)
    changed = templates.change(owner=OWNER, template=made.id, name="저녁")
    assert changed == Template(made.id, "저녁", "설명", ("물", "책"), "지우", True)
    changed = templates.change(owner=OWNER, template=made.id, habits=["양치"], description="", is_default=False)
    assert changed == Template(made.id, "저녁", "", ("양치",), "지우", False)
    assert templates.get(owner=OWNER, template=made.id) == changed


@pytest.mark.usefixtures("families")
def test_another_familys_template_can_be_neither_changed_nor_deleted_nor_applied() -> None:
    made = create()
    for attempt in (
        lambda: templates.change(owner=OTHER, template=made.id, name="내 것"),
        lambda: templates.delete(owner=OTHER, template=made.id),
        lambda: templates.apply(owner=OTHER, template=made.id, child="지우", day=DAY),
        lambda: templates.delete(owner=OWNER, template=uuid4()),
    ):
        with pytest.raises(NoSuchTemplate, match=r"\S"):
            attempt()
    assert templates.get(owner=OWNER, template=made.id) == made


@pytest.mark.usefixtures("families")
@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"name": "  "}, InvalidTemplate),
        ({"name": "가" * 201}, InvalidTemplate),
        ({"name": "물\x00"}, InvalidTemplate),
        ({"description": "가" * 10_001}, InvalidTemplate),
        ({"description": "\ud800"}, InvalidTemplate),
        ({"habits": []}, InvalidTemplate),
        ({"habits": ["물"] * 501}, InvalidTemplate),
        ({"habits": ["물", " "]}, InvalidHabitName),
        ({"habits": ["\ud800"]}, InvalidText),
        ({"child": ""}, InvalidChildName),
        ({"child": "가" * 101}, InvalidChildName),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(given: dict[str, Any], error: type[BoardError]) -> None:
    made = create()
    with pytest.raises(error):
        templates.create(**{"owner": OWNER, "name": "둘째", "habits": ["물"], **given})
    with pytest.raises(error):
        templates.change(owner=OWNER, template=made.id, **given)
    assert templates.listed(owner=OWNER) == (made,)


@pytest.mark.usefixtures("families")
def test_a_family_has_so_many_templates_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(templates, "MOST_TEMPLATES", 2)
    create("하나"), create("남의", owner=OTHER), create("둘")
    with pytest.raises(InvalidTemplate, match="2"):
        create("셋")
    assert names() == ["둘", "하나"]


def both_at_once(first: Callable[[], Any], second: Callable[[], Any]) -> None:
    """`first` is done and not yet committed when `second` begins, which has to wait for it."""
    with transaction.atomic():
        first()
        thread = InThread(second)
        until_somebody_waits()
    thread.outcome()


@pytest.mark.usefixtures("installation")
@pytest.mark.parametrize("installation", ["table"], indirect=True)
def test_of_two_defaults_made_at_the_same_time_the_later_one_is_it() -> None:
    both_at_once(lambda: create("하나", is_default=True), lambda: create("둘", is_default=True))
    assert defaults() == [(None, "둘")]
    one, other = (create(name, child="지우") for name in ("셋", "넷"))
    both_at_once(
        lambda: templates.change(owner=OWNER, template=one.id, is_default=True),
        lambda: templates.change(owner=OWNER, template=other.id, is_default=True),
    )
    assert defaults() == [(None, "둘"), ("지우", "넷")]


@pytest.mark.parametrize("installation", ["table"], indirect=True)
def test_two_changes_of_one_template_at_the_same_time_both_count(installation: object) -> None:
    made = create()
    both_at_once(
        lambda: templates.change(owner=OWNER, template=made.id, name="이름"),
        lambda: templates.change(owner=OWNER, template=made.id, habits=["양치"]),
    )
    changed = templates.get(owner=OWNER, template=made.id)
    assert (changed.name, changed.habits) == ("이름", ("양치",))


def apply(template: Template, **given: Any) -> family.Written:
    return templates.apply(owner=OWNER, template=template.id, child="지우", day=DAY, **given)


def put(*lines: Line, theme: str = "") -> family.Written:
    return family.put(OWNER, "지우", DAY, Contents(theme=theme, habits=lines))


def habits() -> list[tuple[str, Any]]:
    return [(line.name, line.times[0]) for line in family.board(OWNER, "지우", DAY).board.habits]


def noted() -> list[UUID | None]:
    return list(Week.objects.values_list("template_id", flat=True))


def boards_by_side() -> list[Board]:
    return [migration.store(side).load([KEY]).by_key()[KEY] for side in Side]


def test_applying_begins_a_week_in_both_stores(stage: str, installation: object) -> None:
    template = create(child="지우")
    written = apply(template)
    assert written.created
    assert habits() == [("물", "none"), ("책", "none")]
    if stage == "off":
        assert noted() == []
    else:
        applier.drain(migration)
        assert noted() == [template.id]
        assert boards_by_side() == [written.board, written.board]
    assert not DirtyKey.objects.exists()


@pytest.mark.usefixtures("stage")
@pytest.mark.parametrize("installation", ["table"], indirect=True)
def test_replacing_has_to_be_said_and_keeps_the_marks_of_what_stays() -> None:
    put(Line("책", GREEN), Line("그네", GREEN), theme="여름")
    template = create()
    with pytest.raises(WouldOverwrite, match="2"):
        apply(template)
    assert habits() == [("책", "green"), ("그네", "green")]
    written = apply(template, overwrite=True)
    assert not written.created
    assert habits() == [("물", "none"), ("책", "green")]
    assert family.board(OWNER, "지우", DAY).board.theme == "여름"


@pytest.mark.usefixtures("stage")
@pytest.mark.parametrize("installation", ["table"], indirect=True)
def test_appending_needs_no_word_and_takes_nothing() -> None:
    put(Line("책", GREEN), Line("그네", GREEN))
    apply(create(), mode=Mode.APPEND)
    assert habits() == [("책", "green"), ("그네", "green"), ("물", "none")]


@pytest.mark.usefixtures("in_both")
@pytest.mark.parametrize("installation", ["table"], indirect=True)
def test_a_week_without_habits_needs_no_word_either() -> None:
    put(theme="여름")
    assert not apply(create()).created
    assert habits() == [("물", "none"), ("책", "none")]


@pytest.mark.usefixtures("in_both")
@pytest.mark.parametrize("installation", ["table"], indirect=True)
def test_the_board_that_was_looked_at_must_be_the_one_there_is() -> None:
    seen = family.tag(put(Line("책")).board)  # type: ignore[arg-type]
    put(Line("책", GREEN))
    with pytest.raises(family.Changed):
        apply(create(), overwrite=True, seen=seen)


@pytest.mark.usefixtures("in_both")
@pytest.mark.parametrize("installation", ["table"], indirect=True)
def test_what_cannot_be_applied_is_refused_and_nothing_is_begun() -> None:
    template = create(child="하늘")
    with pytest.raises(InvalidTemplate, match="하늘"):
        apply(template)
    shared = create()
    with pytest.raises(BoardError):
        templates.apply(owner=OWNER, template=shared.id, child="지우", day=date(1999, 1, 1))
    with pytest.raises(BoardError):
        templates.apply(owner=OWNER, template=shared.id, child=" ", day=DAY)
    assert family.children(OWNER).children == ()
    put(*[Line("그네")] * 499)
    with pytest.raises(TooMuch):
        apply(shared, mode=Mode.APPEND)
    assert len(habits()) == 499


@pytest.mark.parametrize("installation", ["table"], indirect=True)
def test_what_a_week_began_with_stays_through_later_saves_and_makes_no_difference(stage: str) -> None:
    template = create()
    apply(template)
    known = noted()
    family.set_marks(OWNER, "지우", DAY, [family.Cell(0, 1, "green")])
    put(Line("책"), Line("물"), Line("양치"), theme="여름")
    assert noted() == known == ([] if stage == "off" else [template.id])
    if stage != "off":
        applier.drain(migration)
        assert noted() == known
        legacy, modern = boards_by_side()
        assert legacy == modern


@pytest.mark.parametrize("installation", ["table"], indirect=True)
def test_a_template_that_goes_leaves_the_weeks_that_began_with_it_as_they_are(stage: str) -> None:
    template = create()
    apply(template)
    templates.delete(owner=OWNER, template=template.id)
    assert templates.listed(owner=OWNER) == ()
    assert habits() == [("물", "none"), ("책", "none")]
    assert set(noted()) <= {None}
    assert not DirtyKey.objects.exists()


@pytest.mark.parametrize("installation", ["table"], indirect=True)
def test_a_template_deleted_at_the_same_time_is_applied_and_not_noted(in_both: None) -> None:
    template = create()

    def delete_for_good() -> None:
        HabitTemplate.objects.filter(pk=template.id).delete()

    board_of = family.change_or_begin

    def deleted_in_between(*arguments: Any, **given: Any) -> family.Written:
        InThread(delete_for_good).outcome()
        return board_of(*arguments, **given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(family, "change_or_begin", deleted_in_between)
        apply(template)
    assert habits() == [("물", "none"), ("책", "none")]
    assert noted() == [None]


@pytest.mark.parametrize("installation", ["table"], indirect=True)
def test_applying_and_deleting_at_the_same_time_end_without_a_deadlock(in_both: None) -> None:
    template = create()
    apply(template)
    both_at_once(
        lambda: apply(template, overwrite=True),
        lambda: templates.delete(owner=OWNER, template=template.id),
    )
    assert noted() == [None]


@pytest.mark.parametrize("installation", ["table"], indirect=True)
def test_a_week_of_modern_that_cannot_be_written_now_does_not_keep_a_template_from_being_applied(in_both: None) -> None:
    template = create()
    put(Line("그네"))
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE weeks ADD CONSTRAINT no_template CHECK (template_id IS NULL)")
    try:
        assert apply(template, overwrite=True).outcome is Outcome.BOTH
    finally:
        run("ALTER TABLE weeks DROP CONSTRAINT no_template")
    assert habits() == [("물", "none"), ("책", "none")]
    assert noted() == [None]
    legacy, modern = boards_by_side()
    assert legacy == modern


@pytest.mark.usefixtures("stage")
@pytest.mark.parametrize("installation", ["table"], indirect=True)
def test_a_template_is_made_of_a_week() -> None:
    put(Line("책", GREEN), Line("그네 "))
    own = templates.create_from_week(owner=OWNER, child="지우", day=DAY, name="이번 주")
    assert (own.habits, own.child, own.is_default) == (("책", "그네 "), "지우", False)
    assert templates.create_from_week(owner=OWNER, child="지우", day=DAY, name="다", shared=True).child is None
    with pytest.raises(NoSuchBoard):
        templates.create_from_week(owner=OTHER, child="지우", day=DAY, name="이번 주")
