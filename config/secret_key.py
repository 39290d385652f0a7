"""A secret key for installations that were given none: made once, kept beside the data, readable by its owner only."""

from __future__ import annotations

import os
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured
from django.core.management.utils import get_random_secret_key


def kept_secret_key(path: Path) -> str:
    """The key in this file, which is made on first use. Processes that start at once agree on one key.

    Raises:
        ImproperlyConfigured: the file cannot be read or made.
    """
    try:
        if not path.exists():
            _make(path)
        return path.read_text(encoding="ascii").strip()
    except OSError as error:
        raise ImproperlyConfigured(
            f"SECRET_KEY is unset, and {path} cannot be used to keep one ({error.strerror}). Set SECRET_KEY."
        ) from error


def _make(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(get_random_secret_key() + "\n")
        os.link(draft, path)  # unlike a rename, fails where somebody else was first
    except FileExistsError:
        return
    finally:
        draft.unlink()
