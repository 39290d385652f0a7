"""Whatever people can read is there in Korean as well, with everything that is filled in at run time."""

from __future__ import annotations

import ast
import gettext
import re
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path

import polib
import pytest
from django.utils.translation.template import templatize

from config.translations import PLACES

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGES = ("config", "habits", "migration_ops")
CATALOGUE = ROOT / "locale" / "ko" / "LC_MESSAGES" / "django.po"

MARKS = frozenset({"django.utils.translation", "migration_ops.sentence"})
"""Modules whose functions take what is to be translated."""

ONE = frozenset({"gettext", "gettext_lazy", "gettext_noop", "said"})
SEVERAL = frozenset({"ngettext", "ngettext_lazy", "said_many"})
IN_CONTEXT = frozenset({"pgettext", "pgettext_lazy", "npgettext", "npgettext_lazy"})

_STRING = r"""u?(?:'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")"""
_IN_TEMPLATE = re.compile(rf"\b(n?p?)gettext\(((?:{_STRING}(?:, ?)?)+)")
_PLACEHOLDER = re.compile(r"%\(\w+\)[a-z]|%[sd%]|\{\w*\}")

_NAME = re.compile(r"`[^`]*`|\w+_\w+|(?<![A-Za-z])(?:p95|ms|pid|SQLSTATE|PostgreSQL|autovacuum)(?![A-Za-z])")
"""What is called the same in every language."""

Message = tuple[str, ...]
"""A msgid, and its plural where it has one."""


def messages_in_python(source: str, marks: Collection[str] = MARKS) -> Iterator[Message]:
    """Every string that this module hands to one of these modules, under whatever name it imported the function."""
    tree = ast.parse(source)
    names = {
        alias.asname or alias.name: alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module in marks
        for alias in node.names
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            continue
        function = names.get(node.func.id)
        assert function not in IN_CONTEXT, "This test knows no contexts yet; teach it."
        if function in ONE | SEVERAL:
            yield tuple(_constant(argument) for argument in node.args[: 2 if function in SEVERAL else 1])


def _constant(node: ast.expr) -> str:
    value = ast.literal_eval(node)
    assert isinstance(value, str), f"{ast.unparse(node)} is no text, so it cannot be translated."
    return value


def messages_in_template(source: str) -> Iterator[Message]:
    """Every string of `translate` and `blocktranslate`."""
    for kind, strings in _IN_TEMPLATE.findall(templatize(source)):
        assert "p" not in kind, "This test knows no contexts yet; teach it."
        yield tuple(ast.literal_eval(string) for string in re.findall(_STRING, strings))


def messages() -> dict[Message, str]:
    """Every message of the product, and a file in which it stands."""
    found: dict[Message, str] = {}
    for package in PACKAGES:
        for module in (ROOT / package).rglob("*.py"):
            if "migrations" not in module.parts:
                found.update(dict.fromkeys(messages_in_python(module.read_text()), str(module.relative_to(ROOT))))
    for place in ("templates", *PACKAGES):
        for template in [*(ROOT / place).rglob("*.html"), *(ROOT / place).rglob("*.txt")]:
            found.update(dict.fromkeys(messages_in_template(template.read_text()), str(template.relative_to(ROOT))))
    return found


def sentences() -> set[str]:
    """Msgids of what the engine says, in English but on pages."""
    modules = [module.read_text() for package in PACKAGES for module in (ROOT / package).rglob("*.py")]
    return {message[0] for source in modules for message in messages_in_python(source, {"migration_ops.sentence"})}


def texts(entry: polib.POEntry) -> list[str]:
    return list(entry.msgstr_plural.values()) if entry.msgid_plural else [entry.msgstr]


@pytest.fixture(scope="module")
def catalogue() -> polib.POFile:
    return polib.pofile(str(CATALOGUE))


def test_every_message_has_a_korean_translation(catalogue: polib.POFile) -> None:
    done = {
        (entry.msgid, *([entry.msgid_plural] if entry.msgid_plural else []))
        for entry in catalogue
        if not entry.fuzzy and not entry.obsolete and all(text.strip() for text in texts(entry))
    }
    missing = {message: place for message, place in messages().items() if message not in done}
    assert not missing


def test_nothing_is_translated_that_nobody_says(catalogue: polib.POFile) -> None:
    said = {message[0] for message in messages()}
    assert [entry.msgid for entry in catalogue if entry.msgid not in said] == []
    assert catalogue.obsolete_entries() == []


def test_no_message_is_there_twice(catalogue: polib.POFile) -> None:
    """gettext's own tools refuse such a catalogue, and of two translations nobody knows which one is said."""
    there = Counter((entry.msgctxt, entry.msgid) for entry in catalogue)
    assert [msgid for (_, msgid), number in there.items() if number > 1] == []


def test_a_translation_fills_in_what_the_original_fills_in(catalogue: polib.POFile) -> None:
    for entry in catalogue:
        wanted = sorted(_PLACEHOLDER.findall(entry.msgid_plural or entry.msgid))
        for text in texts(entry):
            assert sorted(_PLACEHOLDER.findall(text)) == wanted, entry.msgid


def test_korean_leaves_no_english_word_in_what_the_engine_says_and_no_number_out(catalogue: polib.POFile) -> None:
    korean = {entry.msgid: texts(entry)[0] for entry in catalogue}
    found = sentences()
    assert len(found) > 100
    for msgid in found:
        bare = [_NAME.sub(" ", _PLACEHOLDER.sub(" ", text)) for text in (msgid, korean[msgid])]
        assert re.findall(r"[A-Za-z]+", bare[1]) == [], msgid
        assert sorted(re.findall(r"\d+", bare[1])) == sorted(re.findall(r"\d+", bare[0])), msgid


def test_a_translation_keeps_the_space_around_it(catalogue: polib.POFile) -> None:
    for entry in catalogue:
        for text in texts(entry):
            for end in (slice(0, 1), slice(-1, None)):
                assert text[end].isspace() == entry.msgid[end].isspace(), entry.msgid


def test_the_catalogue_says_that_korean_has_one_form_and_is_utf_8(catalogue: polib.POFile) -> None:
    said = catalogue.metadata
    assert said["Language"] == "ko"
    assert said["Content-Type"] == "text/plain; charset=UTF-8"
    assert said["Plural-Forms"] == "nplurals=1; plural=0;"


def test_there_is_one_catalogue_and_it_compiles_without_gettext_tools(catalogue: polib.POFile, tmp_path: Path) -> None:
    assert [path for place in PLACES for path in (ROOT / place).glob("ko/*/*.po")] == [CATALOGUE]
    compiled = tmp_path / "django.mo"
    catalogue.save_as_mofile(str(compiled))
    with compiled.open("rb") as file:
        korean = gettext.GNUTranslations(file)
    assert korean.gettext("Rows in quarantine") == "격리된 행"
    assert korean.ngettext(
        "%(count)s of the %(plural)s differs between the two stores.",
        "%(count)s %(plural)s differ between the two stores.",
        3,
    ).startswith("%(plural)s")


def test_messages_are_found_under_other_names_in_plurals_and_in_templates() -> None:
    module = (
        "from django.utils.translation import gettext_lazy as _, ngettext as many\n"
        "_('one')\nmany('%(n)s row', '%(n)s rows', 2)\nother('not this')\n"
    )
    assert list(messages_in_python(module)) == [("one",), ("%(n)s row", "%(n)s rows")]
    sentence = "from migration_ops.sentence import said\nsaid('%(n)s ms', n='1')"
    assert list(messages_in_python(sentence)) == [("%(n)s ms",)]
    template = (
        '{% load i18n %}{% translate "It\'s" %}{% blocktranslate with n=1 %}{{ n }} of 5 %{% endblocktranslate %}'
        "{% blocktranslate count n=2 %}{{ n }} row{% plural %}{{ n }} rows{% endblocktranslate %}"
    )
    assert list(messages_in_template(template)) == [("It's",), ("%(n)s of 5 %%",), ("%(n)s row", "%(n)s rows")]
