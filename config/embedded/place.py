"""Where an embedded server lives: its directory, the socket its clients use, and the lock that serialises its start."""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from config.embedded.exceptions import EmbeddedServerError

LONGEST_SOCKET_PATH = 100
"""Bytes. `sun_path` holds 108 on Linux and 104 on macOS, the closing zero included."""

AMBIGUOUS = frozenset(",'\"\\\n%")
"""Characters that mean something else in a PostgreSQL host list or in a configuration file."""


def socket_directory(home: Path, socket_name: str) -> Path:
    """The directory of a server's Unix socket: its home, or a short one under /tmp where that path cannot be used.

    Every process computes the same answer from `home` alone; nothing is created.
    """
    path = str(home / socket_name)
    if len(os.fsencode(path)) <= LONGEST_SOCKET_PATH and not AMBIGUOUS.intersection(path):
        return home
    digest = hashlib.sha256(os.fsencode(home)).hexdigest()[:12]
    return Path("/tmp") / f"embedded-{home.name}-{digest}"  # noqa: S108 (must be the same for every user and TMPDIR)


def socket_url(home: Path, socket_name: str) -> str:
    """The address of a Unix socket for clients that take URLs."""
    return f"unix://{quote(str(socket_directory(home, socket_name) / socket_name))}?db=0"


def provide_directory(path: Path, owner: tuple[int, int] | None = None) -> None:
    """Make a directory that only its owner can enter; `owner` is (uid, gid), by default this process's.

    Raises:
        EmbeddedServerError: it cannot be made, or is somebody else's.
    """
    uid = owner[0] if owner else os.geteuid()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            path.mkdir(mode=0o700)
        except FileExistsError:
            pass
        else:
            if owner:
                os.chown(path, *owner)
        found = path.lstat()
    except OSError as error:
        raise EmbeddedServerError(f"{path} cannot be made: {error.strerror}.") from error
    if path.is_symlink() or found.st_uid != uid:
        raise EmbeddedServerError(
            f"{path} belongs to another account (uid {found.st_uid}, wanted {uid}). Run as that account, or set"
            " DATABASE_URL and REDIS_URL to servers of your own, or VAR_DIR to another directory."
        )


@contextmanager
def exclusive(lock: Path) -> Iterator[None]:
    """Hold this lock file; other processes and threads wait. The kernel frees it when the holder dies.

    Raises:
        EmbeddedServerError: the file cannot be opened for writing.
    """
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise EmbeddedServerError(
            f"{lock} cannot be opened: {error.strerror}. Run as the account that owns {lock.parent}, or set"
            " DATABASE_URL and REDIS_URL to servers of your own, or VAR_DIR to another directory."
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
