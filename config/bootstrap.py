"""Makes `.venv` and installs a requirements file into it, if that is not done yet. Standard library only.

    python3 config/bootstrap.py requirements.txt

Several processes may call this at once. It is quiet unless something has to be done or fails.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
BIRTHPLACE = VENV / ".made-at"
OLDEST = (3, 11)
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
"""What pip gets to see: PYTHONPATH, PYTHONWARNINGS and the like of the caller are not meant for it."""


def say(message: str) -> None:
    sys.stderr.write(f"{message}\n")
    sys.stderr.flush()


def included(requirements: Path) -> list[Path]:
    """The file itself and every file it includes with `-r`."""
    files = [requirements]
    for line in requirements.read_text(encoding="utf-8").splitlines():
        if line.startswith("-r "):
            files += included(requirements.parent / line[3:].strip())
    return files


def fingerprint(requirements: Path) -> str:
    """Changes whenever something else would be installed."""
    digest = hashlib.sha256()
    for file in included(requirements):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def marker(requirements: Path) -> Path:
    """Where it is written down what was installed."""
    return VENV / f".installed-{requirements.stem}"


def is_installed(requirements: Path) -> bool:
    file = marker(requirements)
    return (
        stands_where_it_was_made()
        and PYTHON.exists()
        and file.exists()
        and file.read_text().strip() == fingerprint(requirements)
    )


def stands_where_it_was_made() -> bool:
    """Whether the checkout was not moved: the programs in a virtual environment know its path by heart."""
    return not BIRTHPLACE.exists() or BIRTHPLACE.read_text(encoding="utf-8") == str(VENV)


def works(python: Path) -> bool:
    """Whether this interpreter runs, is new enough, and has pip."""
    code = f"import pip, sys; sys.exit(sys.version_info < {OLDEST})"
    if not python.exists():
        return False
    return (
        subprocess.run(
            [python, "-c", code], env=ENVIRONMENT, stdin=subprocess.DEVNULL, capture_output=True, check=False
        ).returncode
        == 0
    )


def make_environment() -> int:
    say("Making a virtual environment in .venv …")
    shutil.rmtree(VENV, ignore_errors=True)
    return subprocess.run(
        [sys.executable, "-m", "venv", VENV], env=ENVIRONMENT, stdin=subprocess.DEVNULL, check=False
    ).returncode


def install(requirements: Path) -> int:
    say(f"Installing {requirements.name} (once; this takes a minute) …")
    command: list[str | Path] = [PYTHON, "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"]
    return subprocess.run(
        [*command, "--requirement", requirements],
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,
        check=False,
    ).returncode


def main(name: str) -> int:
    requirements = ROOT / name
    if is_installed(requirements):
        return 0
    lock = os.open(ROOT, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    if is_installed(requirements):
        return 0
    if not (stands_where_it_was_made() and works(PYTHON)) and make_environment() != 0:
        say(
            "The virtual environment could not be made. On Debian and Ubuntu the module for it is a package of its own:"
            f" apt install python{sys.version_info.major}.{sys.version_info.minor}-venv"
        )
        return 1
    if install(requirements) != 0:
        say(f"The packages of {requirements.name} could not be installed; pip says above why.")
        return 1
    BIRTHPLACE.write_text(str(VENV), encoding="utf-8")
    for file in included(requirements):
        marker(file).write_text(fingerprint(file) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
