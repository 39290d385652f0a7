"""The documents say what the code does: every name in the reference exists, and every name that exists is there."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command, get_commands, load_command_class
from django.core.management.base import DjangoHelpFormatter

from habits.migration import boards
from habits.stores.legacy_verdict import CODES
from migration_ops import checks, conf, gates, registry, schedule
from migration_ops.backfill import errors
from migration_ops.exceptions import ExitCode
from migration_ops.models import QuarantineItem, QuarantineStatus
from migration_ops.preflight.checks import CHECKS as PREFLIGHT
from migration_ops.stages import ORDER, TRANSITIONS
from tests.database import database_url
from tests.notes import schema
from tests.notes.migration import notes, register_alone

ROOT = Path(__file__).resolve().parent.parent.parent
DOCS = ROOT / "docs"
REFERENCE = DOCS / "reference"
PAGES = sorted([ROOT / "README.md", *DOCS.rglob("*.md")])
APPS = ("config.embedded", "habits", "migration_ops")


def transitions_as_markdown() -> str:
    """The diagram and the table of `TRANSITIONS`, as they stand in `docs/reference/stages.md`."""
    diagram = ["```mermaid", "stateDiagram-v2", f"    [*] --> {ORDER[0]}"]
    diagram += [f"    {step.source} --> {step.target}" for step in TRANSITIONS]
    table = ["| from | to | gates |", "|---|---|---|"]
    for step in TRANSITIONS:
        needed = ", ".join(f"`{gate}`" for gate in step.gates) or ("none" if step.forward else "none: a way back")
        table.append(f"| `{step.source}` | `{step.target}` | {needed} |")
    return "\n".join([*diagram, "```", "", *table])


def page(name: str) -> str:
    return (REFERENCE / name).read_text()


def first_column(text: str) -> list[str]:
    """What stands in backticks in the first column of the tables of this text."""
    return re.findall(r"^\| `([^`]+)` \|", text, flags=re.MULTILINE)


def table_after(text: str, heading: str) -> str:
    """The first table whose header begins with this word."""
    found = re.search(rf"^\| {heading} \|.*\n(?:\|.*\n?)+", text, flags=re.MULTILINE)
    assert found, f"There is no table with the heading {heading}."
    return found[0]


def section(text: str, title: str) -> str:
    """From the heading with this title to the next of its level."""
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", text, flags=re.MULTILINE | re.DOTALL)
    assert found, f"There is no section {title}."
    return found[1]


def our_commands() -> dict[str, argparse.ArgumentParser]:
    return {
        name: load_command_class(app, name).create_parser("manage.py", name)
        for name, app in sorted(get_commands().items())
        if app in APPS
    }


def options(parser: argparse.ArgumentParser) -> set[str]:
    """Long options beyond those that every Django command has."""
    said = {option for action in parser._actions for option in action.option_strings if option.startswith("--")}
    return said - DjangoHelpFormatter.show_last - {"--help"}


def choices(parser: argparse.ArgumentParser) -> set[str]:
    return {str(verb) for action in parser._actions if action.dest == "verb" for verb in action.choices or ()}


def documented_options(text: str) -> set[str]:
    named = re.findall(r"^\| `(--[\w-]+)", text, flags=re.MULTILINE)
    for line in re.findall(r"^(?:.*\b)?(?:Also|Options): (.*)$", text, flags=re.MULTILINE):
        named += re.findall(r"`(--[\w-]+)`", line)
    return set(named)


def documented_keys(name: str) -> set[str]:
    """The keys of the outermost object; those of nested ones stand in parentheses."""
    said = re.search(r"JSON keys: (.*?)(?:\n\n|\Z)", section(page("commands.md"), name), flags=re.DOTALL)
    assert said, name
    return set(re.findall(r"`([a-z0-9_]+)`", re.sub(r"\([^)]*\)", "", said[1]))) - {"error"}


def test_every_command_has_a_section_and_no_other() -> None:
    titles = re.findall(r"^## ([a-z_]+)$", page("commands.md"), flags=re.MULTILINE)
    assert titles == sorted(our_commands())


@pytest.mark.parametrize("name", sorted(our_commands()))
def test_every_verb_and_option_of_a_command_is_in_its_section_and_no_other(name: str) -> None:
    text, parser = section(page("commands.md"), name), our_commands()[name]
    verbs = table_after(text, "verb") if choices(parser) else ""
    assert set(first_column(verbs)) == choices(parser)
    assert documented_options(text) == options(parser)


def test_every_option_named_anywhere_exists() -> None:
    known = {option for parser in our_commands().values() for option in options(parser)}
    known |= {"--exit", "--rows", "--port", "--help", "--noinput", "--json"}
    for path in PAGES:
        named = set(re.findall(r"(?<![\w-])(--[a-z][a-z-]+)", path.read_text()))
        assert named <= known, path


def test_every_exit_code_is_explained() -> None:
    rows = re.findall(r"^\| (\d+) \|", section(page("commands.md"), "Exit codes"), flags=re.MULTILINE)
    assert [int(row) for row in rows] == [int(code) for code in ExitCode]


@pytest.fixture
def story(transactional_db: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Runs a command on the tiny domain; the keys of what it prints, under the names they have for boards."""
    monkeypatch.setenv("DATABASE_URL", database_url())  # for the processes that a command starts
    schema.drop_tables()
    schema.create_tables()
    others = register_alone()

    def run(*arguments: str) -> set[str]:
        capsys.readouterr()
        with suppress(SystemExit):
            call_command(*arguments, "--json")
        return {key.replace("notes_", "boards_") for key in json.loads(capsys.readouterr().out)}

    yield run
    registry.unregister(notes.name)
    for other in others:
        registry.register(other)
    schema.drop_tables()


WAITING = "the first item in quarantine"


def test_every_json_key_is_documented_and_every_documented_key_is_printed(story: Any) -> None:
    steps = (
        ("preflight",),
        ("backfill", "start"),
        ("stage", "status"),
        ("shadow_schema", "drop", "--dry-run"),
        ("shadow_schema", "status"),
        ("stage", "advance", "--dry-run"),
        ("stage", "advance"),
        ("backfill", "--dry-run"),
        ("backfill", "start", "--queue"),
        ("backfill",),
        ("backfill", "status"),
        ("quarantine", "list"),
        ("quarantine", "accept", WAITING, "--dry-run"),
        ("quarantine", "retry"),
        ("sync_changes", "--dry-run"),
        ("sync_changes",),
        ("validate_migration", "--queue"),
        ("validate_migration", "pause"),
        ("validate_migration",),
        ("validate_migration", "--repair", "--dry-run"),
        ("rollout", "status"),
        ("rollout", "history"),
        ("rollout", "advance"),
        ("rollout", "hold", "--dry-run"),
        ("rollout", "self-test", "--processes", "1"),
        ("migration_status",),
        ("alerts", "list"),
        ("alerts", "test", "--dry-run"),
        ("verify_history",),
    )
    schema.add_rows(("garden", "peas", "sow"), (None, "lost", "row"))
    printed: dict[str, set[str]] = {}
    for step in steps:
        items = QuarantineItem.objects.values_list("pk", flat=True)
        arguments = [str(items[0]) if argument == WAITING else argument for argument in step]
        printed.setdefault(step[0], set()).update(story(*arguments))
    for name, keys in printed.items():
        assert documented_keys(name) == keys - {"error"}, name


def test_the_json_keys_of_the_other_commands_are_documented(db: None, capsys: pytest.CaptureFixture[str]) -> None:
    for command in (
        ("seed_legacy", "--rows", "3"),
        ("import_owners", "--from-legacy"),
        ("embedded", "status"),
        ("weekly_reports",),
        ("purge_idempotency", "--dry-run"),
    ):
        capsys.readouterr()
        call_command(*command, "--json")
        assert documented_keys(command[0]) == set(json.loads(capsys.readouterr().out)), command


def test_what_the_scheduler_does_by_itself_is_documented() -> None:
    what_else = section((ROOT / "docs/howto/background.md").read_text(), "What else the scheduler does")
    assert first_column(table_after(what_else, "name")) == sorted(each.name for each in schedule.declared())


def test_every_environment_variable_is_documented_and_no_other() -> None:
    there = re.findall(r"^([A-Z_]+)=", (ROOT / ".env.example").read_text(), flags=re.MULTILINE)
    assert first_column(section(page("settings.md"), "Environment")) == there


def test_every_setting_of_the_engine_is_documented_with_its_default() -> None:
    rows = re.findall(
        r"^\| `([A-Z_]+)` \| `(.*?)` \|", section(page("settings.md"), "MIGRATION_OPS"), flags=re.MULTILINE
    )
    documented = {key: _evaluated(default) for key, default in rows}
    assert documented == dict(conf.KEYS)
    assert [key for key, _ in rows] == list(conf.KEYS)


def _evaluated(default: str) -> Any:
    """A default as it is written: numbers, durations and words."""
    assert re.fullmatch(r"(timedelta\(\w+=\d+\)|'\w+'|[\d.]+|[(), ])+", default), default
    return eval(default, {"timedelta": timedelta})  # noqa: S307 - our own page, and nothing but what was matched


def test_every_stage_is_documented_in_its_order() -> None:
    assert first_column(table_after(page("stages.md"), "stage")) == [stage.value for stage in ORDER]


def test_the_transitions_are_those_of_the_code() -> None:
    """When this fails, put what `transitions_as_markdown` gives between the two marks."""
    shown = re.search(r"<!-- transitions -->\n(.*)\n<!-- /transitions -->", page("stages.md"), flags=re.DOTALL)
    assert shown
    assert shown[1].strip() == transitions_as_markdown()


def test_every_gate_is_documented_and_says_whether_it_can_be_computed_today() -> None:
    table = table_after(page("stages.md"), "gate")
    assert set(first_column(table)) == {gate for step in TRANSITIONS for gate in step.gates}
    today = re.findall(r"^\| `(\w+)` \| .* \| yes \|$", table, flags=re.MULTILINE)
    assert set(today) == set(gates.EVALUATORS)


def test_every_quarantine_code_is_documented_in_the_order_in_which_they_win() -> None:
    assert first_column(table_after(page("quarantine.md"), "code")) == list(CODES)
    assert first_column(table_after(page("quarantine.md"), "status")) == QuarantineStatus.values


def test_every_system_check_and_preflight_check_is_documented() -> None:
    ids = sorted(set(re.findall(r"migration_ops\.[EW]\d{3}", Path(str(checks.__file__)).read_text())))
    assert first_column(table_after(page("checks.md"), "id")) == ids
    looked_at = ["database", *(check.__name__ for check in PREFLIGHT), *(check.__name__ for check in boards.preflight)]
    assert first_column(table_after(page("checks.md"), "check")) == looked_at


def test_every_kind_of_database_error_is_documented() -> None:
    text = table_after(page("failures.md"), "SQLSTATE")
    rows = dict(re.findall(r"^\| `(\w+)` \| (\w+) \|$", text, flags=re.MULTILINE))
    assert rows == {state: kind.value for state, kind in errors.KINDS.items()}
    kinds = re.findall(r"^\| (\w+) \|", table_after(page("failures.md"), "kind"), flags=re.MULTILINE)
    assert kinds[1:] == [kind.value for kind in errors.Kind]


def test_the_readme_shows_the_declaration_as_it_is() -> None:
    assert f"```python\n{(ROOT / 'habits' / 'migration.py').read_text()}```" in (ROOT / "README.md").read_text()


def test_the_how_to_shows_the_tiny_declaration_as_it_is() -> None:
    source = (ROOT / "tests" / "notes" / "migration.py").read_text()
    declaration = source[source.index("notes: Migration") : source.index("\n\ndef register_alone")].strip()
    assert declaration in (DOCS / "howto" / "declare-a-migration.md").read_text()


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text()):
        if target.startswith(("http://", "https://")):
            continue
        file, _, anchor = target.partition("#")
        aim = path if not file else path.parent / file
        assert aim.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", aim.read_text(), flags=re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}, target


def test_every_page_is_reachable_from_the_index() -> None:
    index = (DOCS / "README.md").read_text()
    linked = {(DOCS / target.partition("#")[0]).resolve() for target in re.findall(r"\]\(([^)\s]+)\)", index)}
    assert set(DOCS.rglob("*.md")) - {DOCS / "README.md"} == linked


def test_every_command_shown_on_a_page_can_be_parsed() -> None:
    parsers = our_commands()
    for path in PAGES:
        for name, rest in re.findall(r"manage\.py ([a-z_]+)([^`\n|&>#]*)", path.read_text()):
            if name not in parsers:
                assert name in get_commands(), (path, name)
                continue
            words = [word for word in rest.split() if re.fullmatch(r"--[a-z-]+|[a-z-]+", word)]
            verbs = choices(parsers[name])
            if verbs and words and not words[0].startswith("--") and rest.startswith(" "):
                assert words[0] in verbs, (path, name, rest)
            assert {word for word in words if word.startswith("--")} <= options(parsers[name]), (path, name, rest)
