"""`python -m config.browser`: a Chromium for the browser tests, from the system's packages where there is none."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

CANDIDATES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
PACKAGES = ("chromium", "fonts-noto-cjk")
"""The browser, and letters for Korean."""


def say(message: str) -> None:
    sys.stderr.write(f"{message}\n")
    sys.stderr.flush()


def found() -> str | None:
    """Where a browser is that the tests can drive."""
    return next(filter(None, map(shutil.which, CANDIDATES)), None)


def install() -> bool:
    """From Debian's or Ubuntu's packages; whether it worked."""
    apt = shutil.which("apt-get")
    sudo = [] if os.geteuid() == 0 else [shutil.which("sudo") or ""]
    if apt is None or sudo == [""]:
        return False
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (("update", "-qq"), ("install", "-y", "-qq", "--no-install-recommends", *PACKAGES)):
        command = [*sudo, *(["-n"] if sudo else []), apt, *arguments]
        done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False)
        if done.returncode != 0:
            return False
    return found() is not None


def main() -> int:
    if found():
        return 0
    say("Installing Chromium for the browser tests (once) …")
    if install():
        return 0
    say(
        "The browser tests need Chromium, and it could not be installed. As root: apt-get install chromium"
        f" {PACKAGES[1]}. On other systems install Chromium or Google Chrome so that one of these is on the PATH:"
        f" {', '.join(CANDIDATES)}."
    )
    return 1


if __name__ == "__main__":
    sys.exit(main())
