"""System checks: one test for each documented id, and none cries without a reason."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import connections

from migration_ops import checks, conf, registry
from migration_ops.definition import AnyMigration, ForeignKey
from tests.notes.migration import notes, register_alone
from tests.notes.stores import LegacyNotes


@pytest.fixture
def alone() -> Any:
    others = register_alone()
    yield notes
    for migration in registry.all_migrations():
        registry.unregister(migration.name)
    for migration in others:
        registry.register(migration)


def ids(check: Any) -> list[str]:
    return [message.id for message in check(None)]


def test_an_installation_as_it_should_be_passes(alone: AnyMigration) -> None:
    assert [found for check in checks.CHECKS for found in check(None)] == []


def test_every_id_is_explained() -> None:
    documented = checks.__doc__ or ""
    for number in range(1, 7):
        assert f"migration_ops.E00{number}" in documented
    assert "migration_ops.W001" in documented


def test_e001_a_key_that_means_nothing_is_named_with_the_one_that_was_meant(settings: Any) -> None:
    settings.MIGRATION_OPS = {"FENCE_TIMOUT": timedelta(seconds=1)}
    (error,) = checks.check_settings(None)
    assert error.id == "migration_ops.E001"
    assert error.hint == "Did you mean 'FENCE_TIMEOUT'?"
    with pytest.raises(ImproperlyConfigured, match="FENCE_TIMOUT"):
        conf.settings()


@pytest.mark.parametrize(
    "wrong",
    [
        {"FENCE_TIMEOUT": 10},
        {"FENCE_TIMEOUT": timedelta(0)},
        {"FENCE_TIMEOUT": timedelta(seconds=-1)},
        {"FENCE_TIMEOUT": timedelta(days=1000)},
        {"BATCH_START": 0},
        {"BATCH_START": 1.5},
        {"BATCH_START": True},
        {"BATCH_START": "100"},
        {"BATCH_MINIMUM": 50, "BATCH_MAXIMUM": 10},
        {"RETRY_FIRST_DELAY": timedelta(minutes=1)},
        {"READ_ERROR_RATE": 0},
        {"NICE_RATIO": -1},
        {"NICE_RATIO": False},
        {"READ_ERROR_RATE": "0.1"},
        {"READ_LATENCY_RATIO": True},
        {"SHADOW_READ_PERCENT": -1},
        {"RAMP_PLAN": ()},
        {"RAMP_PLAN": 5},
        {"RAMP_PLAN": [(5, timedelta(hours=1))]},
        {"RAMP_PLAN": [(50, timedelta(hours=1)), (5, timedelta(hours=1)), (100, timedelta(hours=1))]},
        {"RAMP_PLAN": [(0, timedelta(hours=1)), (100, timedelta(hours=1))]},
        {"RAMP_PLAN": [(5.001, timedelta(hours=1)), (100, timedelta(hours=1))]},
        {"RAMP_PLAN": [(100, 3600)]},
    ],
)
def test_e002_a_value_that_makes_no_sense_is_named(settings: Any, wrong: dict[str, Any]) -> None:
    settings.MIGRATION_OPS = wrong
    assert set(ids(checks.check_settings)) == {"migration_ops.E002"}
    with pytest.raises(ImproperlyConfigured):
        conf.settings()


def test_e002_settings_that_are_no_dict_are_refused(settings: Any) -> None:
    settings.MIGRATION_OPS = ["FENCE_TIMEOUT"]
    assert ids(checks.check_settings) == ["migration_ops.E002"]


def test_settings_are_typed_and_every_key_has_a_default(settings: Any) -> None:
    assert conf.settings() == conf.Settings()
    settings.MIGRATION_OPS = {"FENCE_TIMEOUT": timedelta(seconds=3)}
    assert conf.settings().fence_timeout == timedelta(seconds=3)
    assert conf.settings().lease == conf.Settings().lease


def test_every_setting_is_explained() -> None:
    explained = conf.Settings.__doc__ or ""
    assert [key for key in conf.KEYS if key.lower() not in explained] == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "my notes"},
        {"modern_tables": ()},
        {"modern_tables": ("modern_notes", "modern_notes")},
        {"irreplaceable_tables": ("somewhere",)},
        {"rejection_codes": ()},
        {"rejection_codes": ("same", "same")},
        {"foreign_keys": (ForeignKey("fk", "somewhere", "id", "legacy_notes"),)},
        {"source": lambda path: LegacyNotes(), "code_for_duplicate": "no_such_code"},
    ],
)
def test_e003_a_declaration_that_contradicts_itself_is_found(alone: AnyMigration, wrong: dict[str, Any]) -> None:
    registry.unregister("notes")
    registry.register(replace(notes, **wrong))
    assert ids(checks.check_migrations) == ["migration_ops.E003"]


def test_e004_a_stock_flag_is_not_trusted_with_a_rollout(settings: Any) -> None:
    settings.WAFFLE_FLAG_MODEL = "waffle.Flag"
    assert ids(checks.check_flag_model) == ["migration_ops.E004"]


def test_e005_another_database_than_postgresql_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections["default"], "vendor", "sqlite")
    assert ids(checks.check_database) == ["migration_ops.E005"]


def test_w001_an_installation_without_a_migration_is_warned(alone: AnyMigration) -> None:
    registry.unregister("notes")
    assert ids(checks.check_migrations) == ["migration_ops.W001"]


@pytest.mark.parametrize("setting", ["WAFFLE_OVERRIDE", "WAFFLE_FLAG_DEFAULT", "WAFFLE_CREATE_MISSING_FLAGS"])
def test_e006_a_setting_that_makes_waffle_lie_is_named(settings: Any, setting: str) -> None:
    setattr(settings, setting, True)
    (error,) = checks.check_waffle(None)
    assert (error.id, error.hint) == ("migration_ops.E006", f"Set {setting} = False.")


@pytest.mark.parametrize(("timeout", "kept"), [(None, "for ever"), (300, "for 300 s")])
def test_w002_a_cache_that_keeps_switches_for_long_is_named(settings: Any, timeout: int | None, kept: str) -> None:
    memory = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "TIMEOUT": timeout}
    settings.CACHES = {**settings.CACHES, "waffle": memory}
    (warning,) = checks.check_waffle(None)
    assert warning.id == "migration_ops.W002"
    assert kept in warning.msg
    settings.CACHES = {**settings.CACHES, "waffle": {**memory, "TIMEOUT": 1}}
    assert ids(checks.check_waffle) == []


def test_w003_the_middleware_has_to_be_there_and_to_know_the_user(settings: Any) -> None:
    order = list(settings.MIDDLEWARE)
    order.remove(checks.MIDDLEWARE)
    for wrong in (order, [checks.MIDDLEWARE, *order]):
        settings.MIDDLEWARE = wrong
        assert ids(checks.check_middleware) == ["migration_ops.W003"]


@pytest.mark.parametrize("token", ["guess-me", "x" * 40, "ab12" * 10, "0123456789abcdefghi"])
def test_w004_a_token_that_can_be_guessed_is_a_warning(settings: Any, token: str) -> None:
    settings.METRICS_TOKEN = token
    (warning,) = checks.check_metrics_token(None)
    assert warning.id == "migration_ops.W004"
    assert token not in f"{warning.msg} {warning.hint}"


@pytest.mark.parametrize("token", ["", "0123456789abcdefghij", "9f86d081884c7d659a2feaa0c55ad015"])
def test_w004_no_token_or_a_long_one_is_none(settings: Any, token: str) -> None:
    settings.METRICS_TOKEN = token
    assert checks.check_metrics_token(None) == []
