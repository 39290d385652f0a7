"""Reads the command line, settles the environment before Django reads it, and hands over to `config.demo.run`."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import django
import environ
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from config.demo.console import fail
from config.demo.services import is_free
from config.demo.steps import ROOT
from config.translations import compile_catalogues

DEFAULT_PORT = 8000
PORTS_TRIED = 20
UNUSABLE = 2


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="bin/demo",
        allow_abbrev=False,
        description="Migrates and validates a messy legacy data set, then serves the site until Ctrl-C.",
        epilog="DATABASE_URL, REDIS_URL, LEGACY_BACKEND and LEGACY_JSON_PATH are honoured; .env.example explains them.",
    )
    parser.add_argument("--exit", action="store_true", help="stop before serving")
    parser.add_argument("--rows", type=_rows, default=2_000, metavar="N", help="legacy rows to make up (default: 2000)")
    parser.add_argument("--port", type=_port, metavar="P", help=f"where to serve (default: {DEFAULT_PORT} or the next)")
    return parser.parse_args(arguments)


def _rows(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of rows; write 1 or more")
    return int(text)


def _port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65_535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port; write 1 to 65535")
    return int(text)


def choose_port(wanted: int | None) -> int | None:
    """The port to serve on: the one wanted, or the first free one from the default on; None if there is none."""
    candidates = [wanted] if wanted else range(DEFAULT_PORT, DEFAULT_PORT + PORTS_TRIED)
    return next((port for port in candidates if is_free(port)), None)


def settle_environment() -> None:
    """What the demo decides for itself where nobody else did. Its commands and services inherit it."""
    environ.Env.read_env(ROOT / ".env")
    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
    if not os.environ.get("HTTPS"):
        os.environ["HTTPS"] = "false"
    if os.environ.get("LEGACY_BACKEND", "").strip().lower() == "json":
        default = Path(os.environ.get("VAR_DIR") or ROOT / "var", "demo", "habit_tracker.json")
        path = Path(os.environ.get("LEGACY_JSON_PATH") or default).absolute()
        path.parent.mkdir(parents=True, exist_ok=True)
        os.environ["LEGACY_JSON_PATH"] = str(path)


def main(arguments: list[str]) -> int:
    options = parse(arguments)
    port = None if options.exit else choose_port(options.port)
    if port is None and not options.exit:
        return fail(f"Port {options.port or DEFAULT_PORT} is taken; choose another with --port.", UNUSABLE)
    settle_environment()
    compile_catalogues()
    try:
        django.setup()
    except ImproperlyConfigured as error:
        return fail(str(error), UNUSABLE)
    return int(import_string("config.demo.run.demo")(rows=options.rows, port=port))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
