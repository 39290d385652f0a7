"""The system account PostgreSQL runs as: ours, or, because it refuses to run as root, another one for root."""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path

from config.embedded.exceptions import EmbeddedServerError

PREFERRED = "pgserver"
LAST_RESORT = "nobody"


@dataclass(frozen=True, slots=True)
class Account:
    """A system account other than our own."""

    name: str
    uid: int
    gid: int

    @property
    def ids(self) -> tuple[int, int]:
        return self.uid, self.gid


def server_account(home: Path) -> Account | None:
    """Who is to run the server that lives in `home`; None means ourselves.

    For root: the owner of what is there already, else the account `pgserver`, which is made, else `nobody`.
    """
    if os.geteuid() != 0:
        return None
    if home.exists() and home.stat().st_uid != 0:
        owner = _find(home.stat().st_uid)
        if owner:
            return owner
    found = _find(PREFERRED) or _make(PREFERRED) or _find(LAST_RESORT)
    if found is None:
        raise EmbeddedServerError(
            f"PostgreSQL does not run as root, and there is neither an account {PREFERRED!r} nor {LAST_RESORT!r}."
            " Run as an ordinary user, or set DATABASE_URL."
        )
    return found


def open_way(path: Path, account: Account) -> None:
    """Let the account reach `path`: every directory above it that it could not pass becomes searchable (o+x), not
    readable. A checkout in root's home or in a private temporary directory needs this.

    Raises:
        EmbeddedServerError: a directory's mode cannot be changed.
    """
    for directory in path.resolve().parents:
        found = directory.stat()
        needed = stat.S_IXUSR if found.st_uid == account.uid else stat.S_IXOTH
        if not found.st_mode & needed:
            _chmod(directory, found.st_mode | needed)


def open_tree(top: Path) -> None:
    """Let everybody read the program files below `top`; an installation under a strict umask is private to root."""
    for directory, _, names in os.walk(top):
        for path in (Path(directory), *(Path(directory, name) for name in names)):
            found = path.lstat()
            if stat.S_ISLNK(found.st_mode):
                continue
            needed = stat.S_IROTH | (stat.S_IXOTH if found.st_mode & stat.S_IXUSR else 0)
            if found.st_mode & needed != needed:
                _chmod(path, found.st_mode | needed)


def _chmod(path: Path, mode: int) -> None:
    try:
        path.chmod(stat.S_IMODE(mode))
    except OSError as error:
        raise EmbeddedServerError(
            f"PostgreSQL's account cannot reach {path}: {error.strerror}. Check out into a directory that everybody can"
            " enter, run as an ordinary user, or set DATABASE_URL."
        ) from error


def _find(who: str | int) -> Account | None:
    try:
        entry = pwd.getpwnam(who) if isinstance(who, str) else pwd.getpwuid(who)
    except KeyError:
        return None
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def _make(name: str) -> Account | None:
    useradd = shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if useradd is None:
        return None
    subprocess.run(
        [useradd, "--system", "--no-create-home", "--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin", name],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    return _find(name)
