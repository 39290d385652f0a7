"""The browser of the browser tests: the system's own, or installed where there is none, or asked for in a sentence."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.house.conftest import PATIENCE, ROOT

APT = """#!/bin/sh
echo "$*" >> {log}
case "$1" in install) : > {browser}; /bin/chmod +x {browser} ;; esac
"""


def provide(programs: Path) -> subprocess.CompletedProcess[str]:
    """`python -m config.browser` where these are all the programs there are."""
    command = [sys.executable, "-m", "config.browser"]
    environment = {"PATH": str(programs), "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=PATIENCE
    )


def program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def test_a_browser_that_is_there_is_taken_without_a_word(tmp_path: Path) -> None:
    program(tmp_path / "google-chrome", "")
    done = provide(tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_without_one_it_comes_from_the_systems_packages_with_korean_letters(tmp_path: Path) -> None:
    log, browser = tmp_path / "log", tmp_path / "chromium"
    apt = APT.format(log=log, browser=browser)
    program(tmp_path / "apt-get", apt)
    program(tmp_path / "sudo", '#!/bin/sh\nshift\nexec "$@"\n')
    done = provide(tmp_path)
    assert done.returncode == 0, done.stderr
    update, install = log.read_text().splitlines()
    assert update.startswith("update")
    assert install.endswith("chromium fonts-noto-cjk")


def test_where_none_can_be_had_a_sentence_says_what_to_install(tmp_path: Path) -> None:
    done = provide(tmp_path)
    assert done.returncode == 1
    assert "As root: apt-get install chromium fonts-noto-cjk." in done.stderr


def test_an_installation_that_fails_is_no_success(tmp_path: Path) -> None:
    program(tmp_path / "apt-get", "#!/bin/sh\nexit 100\n")
    program(tmp_path / "sudo", '#!/bin/sh\nshift\nexec "$@"\n')
    done = provide(tmp_path)
    assert done.returncode == 1
    assert "could not be installed" in done.stderr
