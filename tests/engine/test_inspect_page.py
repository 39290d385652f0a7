"""One document in both stores, side by side, with all that the engine knows of it."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape
from typing import Any

import pytest
from django.urls import reverse

from migration_ops import registry
from migration_ops.definition import AnyMigration, KeyForm, KeyPart, Side
from migration_ops.exceptions import UnusableInput
from migration_ops.inspection import flat, is_among
from migration_ops.sync import dirty
from migration_ops.sync.applier import drain
from tests.engine.staff import member
from tests.engine.syncing import begin_dual_write, run
from tests.notes import schema
from tests.notes.note import NoteKey


def named(parts: Any) -> NoteKey:
    if not parts.get("notebook"):
        raise UnusableInput("Say a notebook.")
    return NoteKey(parts["notebook"], parts.get("title", ""))


FORM = KeyForm(parts=(KeyPart("notebook", "Notebook"), KeyPart("title", "Title")), read=named)


@pytest.fixture
def there(notes: AnyMigration) -> AnyMigration:
    """A note of two rows in both stores, another with a row that has no body; keys have parts."""
    registry.unregister(notes.name)
    declared = replace(notes, key_form=FORM)
    registry.register(declared)
    begin_dual_write(declared)
    schema.add_rows(("a", "<i>t</i>", "one"), ("a", "<i>t</i>", "two"), ("b", "half", None), ("b", "half", "x"))
    drain(declared)
    return declared


def page(migration: AnyMigration, *, kind: str = "viewers", language: str = "en", **query: str) -> Any:
    address = reverse("admin:migration_ops_dashboard_inspect", args=[migration.name], query=query or None)
    return member(kind, language).get(address)


def text(answer: Any) -> str:
    return unescape(answer.content.decode())


def test_equal_documents_are_said_to_be_and_names_are_text(there: AnyMigration) -> None:
    shown = page(there, notebook="a", title="<i>t</i>")
    assert shown.status_code == 200
    assert "Both stores have it, and it is the same." in text(shown)
    assert "<i>t</i>" not in shown.content.decode()
    assert "&lt;i&gt;t&lt;/i&gt;" in shown.content.decode()
    assert "differs" not in text(shown)
    assert "Legacy has the word for it: stage." in text(shown)


def test_what_differs_is_marked_and_nothing_else(there: AnyMigration) -> None:
    run("UPDATE modern_notes SET lines = '{other}' WHERE notebook = 'a'")
    dirty.mark_keys(there, [NoteKey("a", "<i>t</i>")], side=Side.MODERN)
    shown = text(page(there, notebook="a", title="<i>t</i>"))
    assert "The two stores differ." in shown
    marked = re.findall(r'<tr class="bad"><th scope="row"><code>([^<]+)</code>', shown)
    assert marked == ["lines"]
    assert "Changed in Modern at" in shown


def test_a_document_with_a_quarantined_row_says_whose_word_counts_and_why(there: AnyMigration) -> None:
    shown = text(page(there, key=there.encode_key(NoteKey("b", "half"))))
    assert "Neither store has a whole document of this key." in shown
    assert "Legacy has the word for it: in quarantine." in shown
    assert "body_missing" in shown


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ({"notebook": ""}, "Say a notebook."),
        ({"key": "nonsense"}, "This is no key of notes."),
        ({"key": "[]"}, "no key"),
    ],
)
def test_what_names_nothing_is_refused_in_a_sentence(there: AnyMigration, query: dict[str, str], sentence: str) -> None:
    shown = page(there, **query)
    assert (shown.status_code, sentence in text(shown)) == (400, True)


def test_a_key_that_nobody_has_is_no_error(there: AnyMigration) -> None:
    shown = page(there, notebook="nobody", title="nothing")
    assert (shown.status_code, "Neither store has a whole document" in text(shown)) == (200, True)


def test_documents_are_for_those_who_may_see_them(there: AnyMigration) -> None:
    assert page(there, kind="nobody", notebook="a", title="t").status_code == 403


def test_the_page_speaks_korean(there: AnyMigration) -> None:
    assert "두 저장소에 모두 있고 내용이 같습니다." in text(page(there, language="ko", notebook="a", title="<i>t</i>"))


def test_a_list_of_plain_values_is_one_field_and_what_is_in_objects_has_its_path() -> None:
    document = {"theme": "", "habits": [{"name": "x", "times": ["a", None]}], "none": []}
    assert flat(document) == {"theme": "", "habits[0].name": "x", "habits[0].times": ["a", None], "none": []}


def test_a_part_of_a_field_that_differs_marks_the_field() -> None:
    assert is_among("habits[0].times", {"habits[0].times[3]"})
    assert is_among("habits[1].name", {"habits[1]"})
    assert not is_among("habits[10].name", {"habits[1]"})
