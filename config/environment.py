"""Reading the environment. A value that cannot be used is refused at start, in a sentence that says what to write."""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "[::1]", ".localhost", "testserver"})
REDIS_SCHEMES = frozenset({"redis", "rediss", "unix"})
POSTGRES_SCHEMES = frozenset({"postgres", "postgresql", "psql", "pgsql"})


class Environment:
    """Variables by name; an empty one counts as unset."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables

    def text(self, name: str, default: str = "") -> str:
        return self._variables.get(name, "").strip() or default

    def words(self, name: str, default: Collection[str] = ()) -> list[str]:
        """A list whose items are separated by commas."""
        items = [item.strip() for item in self.text(name).split(",")]
        return [item for item in items if item] or list(default)

    def choice(self, name: str, choices: Mapping[str, str]) -> str:
        """What the chosen word stands for; "" must be among the choices if the variable may be unset."""
        value = self.text(name).lower()
        if value not in choices:
            words = ", ".join(sorted(word for word in choices if word))
            empty = ", or leave it empty" if "" in choices else ""
            raise ImproperlyConfigured(f"{name}={value!r} is unknown. Write one of: {words}{empty}.")
        return choices[value]

    def switch(self, name: str, *, default: bool | None) -> bool | None:
        value = self.text(name).lower()
        if not value:
            return default
        if value in {"true", "1", "yes", "on"}:
            return True
        if value in {"false", "0", "no", "off"}:
            return False
        raise ImproperlyConfigured(f"{name}={value!r} is neither true nor false.")

    def number(self, name: str, default: int) -> int:
        value = self.text(name)
        if not value:
            return default
        if not value.isascii() or not value.isdigit():
            raise ImproperlyConfigured(f"{name}={value!r} is not a whole number.")
        return int(value)

    def database(self, name: str) -> dict[str, Any] | None:
        """Django's settings for a `postgres://` address; None if unset."""
        value = self.text(name)
        if not value:
            return None
        scheme = value.partition(":")[0].lower()
        if scheme not in POSTGRES_SCHEMES:
            raise ImproperlyConfigured(
                f"{name} names a database of the kind {scheme!r}, and this product needs PostgreSQL. Write"
                " postgres://user:password@host:port/database."
            )
        try:
            return dict(environ.Env.db_url_config(value))
        except ValueError as error:
            raise ImproperlyConfigured(f"{name} cannot be read ({error}). Percent-encode special characters.") from None

    def redis(self, name: str) -> str:
        """A Redis address, "" if unset. Valkey speaks the same protocol, its `valkey://` is taken too."""
        value = self.text(name).replace("valkey://", "redis://", 1).replace("valkeys://", "rediss://", 1)
        if value and urlsplit(value).scheme not in REDIS_SCHEMES:
            raise ImproperlyConfigured(f"{name}={value!r} is no Redis address. Write redis://host:port/0.")
        return value

    def mail(self, name: str) -> dict[str, object]:
        """Django's settings for a mail server; unset, mails are written to the log of the process."""
        value = self.text(name, "consolemail://")
        if urlsplit(value).scheme not in environ.Env.EMAIL_SCHEMES:
            raise ImproperlyConfigured(
                f"{name} names no mail server. Write smtp+tls://user:password@host:587 or leave it empty."
            )
        try:
            return dict(environ.Env.email_url_config(value))
        except ValueError as error:
            raise ImproperlyConfigured(f"{name} cannot be read ({error}). Percent-encode special characters.") from None

    def token(self, name: str) -> str:
        """What follows `Bearer` in a header, "" if unset. It is a secret, so that no message shows it."""
        value = self.text(name)
        if value and not re.fullmatch(r"[A-Za-z0-9._~+/-]+=*", value):
            raise ImproperlyConfigured(f"{name} must be letters, digits and - . _ ~ + / alone, as a header takes them.")
        return value

    def address(self, name: str) -> str:
        """A web address, "" if unset."""
        value = self.text(name)
        parts = urlsplit(value)
        if value and (parts.scheme not in {"http", "https"} or not parts.netloc):
            raise ImproperlyConfigured(f"{name} is no web address. Write https://… or leave it empty.")
        return value

    def time_zone(self, name: str, default: str) -> str:
        value = self.text(name, default)
        try:
            zoneinfo.ZoneInfo(value)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
            raise ImproperlyConfigured(f"{name}={value!r} is no time zone. Write one such as Asia/Seoul.") from None
        return value


def answers_to_the_world(hosts: Collection[str]) -> bool:
    """Whether these ALLOWED_HOSTS name a site of its own. `*` says nothing about where the site is."""
    return any(host not in LOCAL_HOSTS and host != "*" for host in hosts)
