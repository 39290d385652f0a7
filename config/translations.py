"""`python -m config.translations`: compiles every catalogue, on machines without gettext too."""

from __future__ import annotations

import sys
from pathlib import Path

import polib

ROOT = Path(__file__).resolve().parent.parent
PLACES = ("locale", "habits/locale", "migration_ops/locale")


def catalogues(root: Path = ROOT) -> list[Path]:
    """Every catalogue of the product."""
    return sorted(path for place in PLACES for path in (root / place).glob("*/LC_MESSAGES/*.po"))


def compile_catalogues(root: Path = ROOT) -> list[Path]:
    """Compile the catalogues that changed since they were last compiled; which ones.

    Raises:
        OSError: a catalogue cannot be read; polib names the file and the line.
    """
    changed = []
    for source in catalogues(root):
        target = source.with_suffix(".mo")
        if target.exists() and target.stat().st_mtime_ns > source.stat().st_mtime_ns:
            continue
        polib.pofile(str(source)).save_as_mofile(str(target))
        changed.append(source)
    return changed


if __name__ == "__main__":
    for compiled in compile_catalogues():
        sys.stderr.write(f"Compiled {compiled.relative_to(ROOT)}\n")
