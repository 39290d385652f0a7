"""The migrations of this installation, by name."""

from __future__ import annotations

from migration_ops.definition import AnyMigration
from migration_ops.exceptions import UnknownMigration

_migrations: dict[str, AnyMigration] = {}


def register(migration: AnyMigration) -> None:
    """Make a migration known; called from an app's `ready()`.

    Raises:
        ValueError: another migration has the same name.
    """
    known = _migrations.get(migration.name)
    if known is not None and known is not migration:
        raise ValueError(f"Two migrations are named {migration.name!r}.")
    _migrations[migration.name] = migration


def unregister(name: str) -> None:
    """Forget a migration, e.g. one that a test declared."""
    _migrations.pop(name, None)


def get(name: str | None = None) -> AnyMigration:
    """The migration of that name; without a name the only one there is.

    Raises:
        UnknownMigration: there is none of that name, or more than one and no name was given.
    """
    if name is None:
        if len(_migrations) == 1:
            return next(iter(_migrations.values()))
        raise UnknownMigration(
            f"Say which migration with --migration: {', '.join(sorted(_migrations)) or 'none is registered'}."
        )
    try:
        return _migrations[name]
    except KeyError:
        raise UnknownMigration(
            f"No migration is named {name!r}; there is {', '.join(sorted(_migrations)) or 'none'}."
        ) from None


def all_migrations() -> list[AnyMigration]:
    """Every registered migration, by name."""
    return [_migrations[name] for name in sorted(_migrations)]
