"""System checks of the engine: what is wrong with an installation, said before it starts.

| id | means |
|---|---|
| `migration_ops.E001` | `MIGRATION_OPS` has a key that means nothing |
| `migration_ops.E002` | a value in `MIGRATION_OPS` makes no sense |
| `migration_ops.E003` | a registered migration contradicts itself |
| `migration_ops.E004` | `WAFFLE_FLAG_MODEL` is not the engine's flag |
| `migration_ops.E005` | the database is not PostgreSQL |
| `migration_ops.E006` | a setting makes django-waffle say what nobody decided |
| `migration_ops.E007` | nothing can be sent to `SLACK_WEBHOOK_URL` |
| `migration_ops.E008` | a name in `ALERT_EMAILS` is no e-mail address |
| `migration_ops.W001` | no migration is registered |
| `migration_ops.W002` | django-waffle's cache keeps what it knows for longer than a second |
| `migration_ops.W003` | the middleware that decides once a request is missing, or above the one that knows the user |
| `migration_ops.W004` | `METRICS_TOKEN` can be guessed |
| `migration_ops.W005` | alerts by mail arrive nowhere |
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.cache import caches
from django.core.cache.backends.dummy import DummyCache
from django.core.checks import CheckMessage, Error, Warning, register  # noqa: A004 - Django's names
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.core.validators import validate_email
from django.db import DEFAULT_DB_ALIAS, connections

from migration_ops import conf, registry
from migration_ops.alerts import channels
from migration_ops.alerts.webhook import what_is_wrong
from migration_ops.definition import AnyMigration

TAG = "migration_ops"

FLAG_MODEL = "migration_ops.Flag"
MIDDLEWARE = "migration_ops.web.middleware.RolloutMiddleware"

SHORTEST_TOKEN = 20
DIFFERENT_CHARACTERS = 8
"""A token with fewer is no random one."""

_LONGEST_NAME = 100


def check_settings(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """`migration_ops.E001`, one for each unknown key, and `migration_ops.E002`, one for each bad value."""
    try:
        given = conf.given()
    except ImproperlyConfigured as error:
        return [Error(str(error), hint="Write a dict of settings, or leave it out.", id="migration_ops.E002")]
    return [
        *(
            Error(f"{conf.NAME} has no key {key!r}.", hint=_closest(key), id="migration_ops.E001")
            for key in conf.unknown_keys(given)
        ),
        *(Error(sentence, id="migration_ops.E002") for sentence in conf.bad_values(given)),
    ]


def _closest(key: str) -> str:
    close = difflib.get_close_matches(str(key).upper(), conf.KEYS, n=1)
    return f"Did you mean {close[0]!r}?" if close else f"There is {', '.join(sorted(conf.KEYS))}."


def check_migrations(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """`migration_ops.E003`, one for each contradiction, or `migration_ops.W001` where there is no migration at all."""
    migrations = registry.all_migrations()
    if not migrations:
        hint = "Declare a `Migration` and call `registry.register` in an app's `ready()`."
        return [Warning("No migration is registered.", hint=hint, id="migration_ops.W001")]
    return [
        Error(f"Migration {migration.name!r}: {sentence}", id="migration_ops.E003")
        for migration in migrations
        for sentence in _contradictions(migration)
    ]


def _contradictions(migration: AnyMigration) -> list[str]:
    found = []
    if not migration.name.isidentifier() or len(migration.name) > _LONGEST_NAME:
        found.append(f"its name must be an identifier of at most {_LONGEST_NAME} characters.")
    if not migration.modern_tables:
        found.append("it names no modern table.")
    if not migration.rejection_codes:
        found.append("it has no rejection code, so a row that cannot be represented could not be set aside.")
    if migration.source is not None and migration.code_for_duplicate not in migration.rejection_codes:
        found.append("it can read a file, but its code_for_duplicate is none of its rejection codes.")
    for what, names in (
        ("modern table", migration.modern_tables),
        ("rejection code", migration.rejection_codes),
        ("foreign key", [key.name for key in migration.foreign_keys]),
    ):
        found += [f"it names the {what} {name} twice." for name in sorted({n for n in names if names.count(n) > 1})]
    found += [
        f"its irreplaceable table {name} is not among its modern tables."
        for name in migration.irreplaceable_tables
        if name not in migration.modern_tables
    ]
    found += [
        f"its foreign key {key.name} is on {key.table}, which is not among its modern tables."
        for key in migration.foreign_keys
        if key.table not in migration.modern_tables
    ]
    return found


def check_flag_model(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """`migration_ops.E004`: stock flags throw dice on every request, and cannot steer a rollout."""
    model = getattr(settings, "WAFFLE_FLAG_MODEL", "waffle.Flag")
    if model == FLAG_MODEL:
        return []
    hint = f"Set WAFFLE_FLAG_MODEL = {FLAG_MODEL!r} before the first `migrate`."
    return [Error(f"WAFFLE_FLAG_MODEL is {model!r}.", hint=hint, id="migration_ops.E004")]


def check_database(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """`migration_ops.E005`: advisory locks, triggers and COPY are PostgreSQL's."""
    vendor = connections[DEFAULT_DB_ALIAS].vendor
    if vendor == "postgresql":
        return []
    return [Error(f"The default database is {vendor}.", hint="Use PostgreSQL 14 to 18.", id="migration_ops.E005")]


_LYING = {
    "WAFFLE_OVERRIDE": "anybody can switch a flag for themselves with a query string",
    "WAFFLE_FLAG_DEFAULT": "a flag that does not exist is on",
    "WAFFLE_CREATE_MISSING_FLAGS": "a misspelled name makes a flag, past the history",
}


def check_waffle(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """`migration_ops.E006`, one for each setting that makes waffle lie, and `migration_ops.W002` for its cache."""
    found: list[CheckMessage] = [
        Error(f"{name} is on: {means}.", hint=f"Set {name} = False.", id="migration_ops.E006")
        for name, means in _LYING.items()
        if getattr(settings, name, False)
    ]
    cache = caches[getattr(settings, "WAFFLE_CACHE_NAME", "default")]
    if not isinstance(cache, DummyCache) and (cache.default_timeout is None or cache.default_timeout > 1):
        kept = "for ever" if cache.default_timeout is None else f"for {cache.default_timeout:g} s"
        hint = "Point WAFFLE_CACHE_NAME to a cache with a TIMEOUT of at most 1 s, or to Django's dummy cache."
        found.append(Warning(f"Waffle's cache keeps switches and samples {kept}.", hint=hint, id="migration_ops.W002"))
    return found


def check_middleware(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """`migration_ops.W003`: without it every decision asks anew, and canaries by header or cookie are none."""
    order = list(getattr(settings, "MIDDLEWARE", []))
    users = "django.contrib.auth.middleware.AuthenticationMiddleware"
    if MIDDLEWARE in order and (users not in order or order.index(users) < order.index(MIDDLEWARE)):
        return []
    hint = f"Put {MIDDLEWARE!r} into MIDDLEWARE, below {users!r}."
    return [Warning("The rollout does not know who asks.", hint=hint, id="migration_ops.W003")]


def check_metrics_token(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """`migration_ops.W004`: nobody counts how often a token is tried."""
    token = str(getattr(settings, "METRICS_TOKEN", ""))
    if not token or (len(token) >= SHORTEST_TOKEN and len(set(token)) >= DIFFERENT_CHARACTERS):
        return []
    hint = 'Take what `python -c "import secrets; print(secrets.token_urlsafe(32))"` prints.'
    return [Warning("METRICS_TOKEN is so short or even that it can be guessed.", hint=hint, id="migration_ops.W004")]


_NOWHERE = frozenset(f"django.core.mail.backends.{name}.EmailBackend" for name in ("console", "dummy"))


def check_alerts(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """`migration_ops.E007`, `migration_ops.E008` for each bad address, `migration_ops.W005`: found out by day."""
    found: list[CheckMessage] = []
    url = str(getattr(settings, "SLACK_WEBHOOK_URL", ""))
    wrong = what_is_wrong(url, channels.hosts()) if url else ""
    if wrong:
        hint = (
            "Write https://hooks.slack.com/…, or name its host in SLACK_WEBHOOK_HOSTS (host:port where it is not 443)."
        )
        found.append(Error(f"{wrong}.", hint=hint, id="migration_ops.E007"))
    recipients = list(getattr(settings, "ALERT_EMAILS", ()))
    for name in recipients:
        try:
            validate_email(name)
        except ValidationError:
            hint = "Write addresses such as ops@example.org, separated by commas."
            found.append(Error(f"ALERT_EMAILS: {name!r} is no e-mail address.", hint=hint, id="migration_ops.E008"))
    if recipients and settings.EMAIL_BACKEND in _NOWHERE:
        hint = "Set EMAIL_URL to a mail server, e.g. smtp+tls://user:password@host:587."
        found.append(Warning("ALERT_EMAILS is set, and no mail server is.", hint=hint, id="migration_ops.W005"))
    return found


CHECKS = (
    check_settings,
    check_migrations,
    check_flag_model,
    check_database,
    check_waffle,
    check_middleware,
    check_metrics_token,
    check_alerts,
)


def register_all() -> None:
    """Make the checks known to Django."""
    for check in CHECKS:
        register(check, TAG)
