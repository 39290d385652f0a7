"""The legacy file as a file: opened safely, told apart from its next version, replaced in one step under a lock.

Nobody ever sees half a file: a new version is written beside the old one, brought to disk and renamed over it. The lock
is on the folder, so that it leaves nothing behind and needs no right to create a file for those who only read.
"""

from __future__ import annotations

import fcntl
import os
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO

from django.db import DatabaseError

from migration_ops.exceptions import MigrationOpsError, UnusableInput
from migration_ops.failpoints import failpoint, label
from migration_ops.sentence import said

LOCK_PATIENCE = timedelta(seconds=10)
_LOCK_POLL = 0.01
_CLOCK_TICK_NS = 20_000_000
"""Longer than the clock of any usual file system ticks: two changes within one tick carry the same time."""

_COPY_BYTES = 1024 * 1024
_LINES_SUFFIXES = frozenset({".ndjson", ".jsonl"})
_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)

_WRITING = label("legacy_json.writing")
_WRITTEN = label("legacy_json.written")
_REPLACED = label("legacy_json.replaced")


class LegacyFileError(MigrationOpsError, DatabaseError):
    """The legacy file could not be read or replaced; it is as it was."""


class FileChangedError(LegacyFileError):
    """Somebody replaced the legacy file in the meantime."""


@dataclass(frozen=True, slots=True)
class Edit:
    """Bytes from `start` up to but not including `end` become `data`."""

    start: int
    end: int
    data: bytes


def holds_lines(path: Path) -> bool:
    """Whether this is a file of one value a line, by its name or by the name of what it links to."""
    return bool(_LINES_SUFFIXES & {path.suffix.lower(), Path(os.path.realpath(path)).suffix.lower()})


def version_of(status: os.stat_result) -> str:
    """Changes whenever the file is changed or replaced; the time of the last change of the inode cannot be forged."""
    return ":".join(
        str(part) for part in (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    )


def current_version(path: Path) -> str:
    """The version of the file that the path leads to now.

    Raises:
        UnusableInput: there is none.
    """
    with _readable(path):
        status = os.stat(path)
    return version_of(_regular(path, status))


@contextmanager
def opened(path: Path) -> Iterator[tuple[BinaryIO, str]]:
    """The file, open for reading, and its version.

    Raises:
        UnusableInput: it is missing, forbidden, or no regular file.
    """
    with _readable(path):
        # A named pipe or a device would block or act on being opened.
        _regular(path, os.stat(path))
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as stream:
        yield stream, version_of(_regular(path, os.fstat(stream.fileno())))


def settle(version: str) -> None:
    """Wait until a change of the file from now on is sure to change its version: at most one tick of the clock."""
    modified = int(version.split(":")[3])
    age = time.time_ns() - modified
    if 0 <= age < _CLOCK_TICK_NS:
        time.sleep((_CLOCK_TICK_NS - age) / 1e9)


@contextmanager
def locked(
    path: Path, *, patience: timedelta = LOCK_PATIENCE, waiting: Callable[[], None] = lambda: None
) -> Iterator[None]:
    """Be the only one of all who use this function to hold this file or folder.

    Args:
        patience: how long to wait for it.
        waiting: called again and again until then.

    Raises:
        LegacyFileError: somebody else holds it for longer than `patience`, or it cannot be locked.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise LegacyFileError(f"{path} cannot be locked: {error.strerror}.") from error
    try:
        _wait_for(descriptor, path, patience, waiting)
        yield
    finally:
        os.close(descriptor)


def _wait_for(descriptor: int, path: Path, patience: timedelta, waiting: Callable[[], None]) -> None:
    deadline = time.monotonic() + patience.total_seconds()
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise LegacyFileError(
                    f"Another process holds the lock on {path} for more than {patience.total_seconds():g} s; "
                    "try again when it is done."
                ) from None
            waiting()
            time.sleep(_LOCK_POLL)
        except OSError as error:
            raise LegacyFileError(f"{path} cannot be locked: {error.strerror}.") from error
        else:
            return


@contextmanager
def rewriting(path: Path, *, patience: timedelta = LOCK_PATIENCE) -> Iterator[Path]:
    """Be the only one to rewrite this file; gives the file itself, where the path is a link.

    Raises:
        UnusableInput: there is no such file.
        LegacyFileError: somebody else holds the lock for longer than `patience`.
    """
    with _readable(path):
        target = path.resolve(strict=True)
    with locked(target.parent, patience=patience):
        yield target


def draft_of(target: Path) -> Path:
    """Where the next version of this file is written; the same for every writer, so that nothing piles up."""
    return target.with_name(f".{blake2b(os.fsencode(target.name), digest_size=8).hexdigest()}.rewriting")


def replace(target: Path, source: BinaryIO, version: str, edits: Sequence[Edit]) -> str:
    """Put a changed copy in the place of the file, in one step. The caller holds `rewriting`.

    Args:
        target: the file itself, no link.
        source: the file as it was read, open.
        version: of what was read.
        edits: disjoint.

    Returns: the new version.

    Raises:
        FileChangedError: the file is no longer the one that was read; nothing was written.
        LegacyFileError: it cannot be written; nothing was written.
    """
    draft = draft_of(target)
    try:
        # Left over from a process that was killed: whoever made it does not hold the lock any more.
        draft.unlink(missing_ok=True)
        descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as copy:
            _write(copy, source, edits)
            _take_over_rights(copy, source)
            copy.flush()
            os.fsync(copy.fileno())
            failpoint(_WRITTEN)
            if version_of(os.stat(target)) != version:
                raise FileChangedError(f"{target} was changed by somebody else while it was being rewritten.")
            draft.rename(target)
            new_version = version_of(os.fstat(copy.fileno()))
    except OSError as error:
        raise LegacyFileError(f"{target} cannot be replaced: {error.strerror}. It is as it was.") from error
    finally:
        # Where the folder does not let itself be written there is nothing to clean up either.
        with suppress(OSError):
            draft.unlink(missing_ok=True)
    _sync_folder(target.parent)
    failpoint(_REPLACED)
    return new_version


def _write(copy: BinaryIO, source: BinaryIO, edits: Sequence[Edit]) -> None:
    at = 0
    for edit in sorted(edits, key=lambda edit: (edit.start, edit.end)):
        _copy(copy, source, at, edit.start)
        failpoint(_WRITING)
        copy.write(edit.data)
        at = edit.end
    _copy(copy, source, at, os.fstat(source.fileno()).st_size)


def _copy(copy: BinaryIO, source: BinaryIO, start: int, end: int) -> None:
    while start < end:
        data = os.pread(source.fileno(), min(_COPY_BYTES, end - start), start)
        if not data:
            raise FileChangedError("The file became shorter while it was being copied.")
        copy.write(data)
        start += len(data)


def _take_over_rights(copy: BinaryIO, source: BinaryIO) -> None:
    was, now = os.fstat(source.fileno()), os.fstat(copy.fileno())
    if (was.st_uid, was.st_gid) != (now.st_uid, now.st_gid):
        os.fchown(copy.fileno(), was.st_uid, was.st_gid)
    os.fchmod(copy.fileno(), stat.S_IMODE(was.st_mode))


def _sync_folder(folder: Path) -> None:
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise LegacyFileError(
            f"The new version is in place, but {folder} could not be brought to disk: {error.strerror}."
        ) from error


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Say of a path that leads nowhere what is wrong with it."""
    try:
        yield
    except FileNotFoundError:
        raise UnusableInput(said("%(path)s does not exist.", path=str(path))) from None
    except PermissionError:
        raise UnusableInput(said("%(path)s may not be read by this user.", path=str(path))) from None
    except OSError as error:
        why = error.strerror or str(error)
        raise UnusableInput(said("%(path)s cannot be opened: %(why)s.", path=str(path), why=why)) from None
    except (ValueError, RuntimeError) as error:
        # NUL in the path; a loop of links in `Path.resolve`.
        raise UnusableInput(
            said("%(path)s is no path of a file: %(why)s.", path=repr(str(path)), why=str(error))
        ) from None


def _regular(path: Path, status: os.stat_result) -> os.stat_result:
    if stat.S_ISREG(status.st_mode):
        return status
    kind = next((name for is_kind, name in _KINDS if is_kind(status.st_mode)), "something else")
    raise UnusableInput(f"{path} is {kind}, not a regular file.")
