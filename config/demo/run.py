"""The demo from beginning to end: servers, schema, data, migration, validation, accounts, and the site."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType

from django.conf import settings
from django.db import DatabaseError, connections

from config.demo.accounts import Login, provide_families, provide_staff
from config.demo.console import console, fail, heading, line
from config.demo.report import adds_up, show_backfill, show_quarantine, show_validation
from config.demo.services import LOOK, ServiceFailed, answers, end_all, services
from config.demo.source import provide_legacy_rows
from config.demo.steps import StepFailed, manage, manage_json
from config.embedded.exceptions import EmbeddedServerError
from config.embedded.servers import servers_in_use

QUARANTINED = 3
"""Exit code of a command that is done and left rows in quarantine; with messy data that is what one expects."""

DIFFERENCES = 5
"""Exit code of a validation that found the stores unequal, e.g. because somebody tried what happens then."""

LOOK_AND_REPAIR = (
    "the two stores are not equal. Run it by hand, and it names what differs; docs/howto/repair.md says what to do"
    " about it. Then start the demo again."
)

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

HISTORY = ("--actor", "bin/demo", "--reason", "demonstration")


class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP: end as for Ctrl-C."""


def demo(*, rows: int, port: int | None) -> int:
    """Run everything; serve on `port`, or not at all if it is None. Returns the exit code.

    Ends every process it started: services, and those embedded servers that did not run before.
    """
    with _signals(), ExitStack() as cleanup:
        try:
            _start_embedded_servers(cleanup)
            cleanup.callback(_ignore_signals)
            logins = _migrate_and_validate(rows)
            if port is not None:
                _serve(port, logins)
        except Terminated:
            return 143
        except KeyboardInterrupt:
            return 130
        except StepFailed as error:
            return fail(str(error), error.exit_code)
        except (EmbeddedServerError, ServiceFailed, DatabaseError) as error:
            return fail(str(error), 1)
    return 0


def _start_embedded_servers(cleanup: ExitStack) -> None:
    for name, server in servers_in_use().items():
        heading(f"{name} for this checkout")
        if not server.running:
            cleanup.callback(server.stop)
        server.ensure()
        line(f"runs with pid {server.pid()} in {server.home}")


def _migrate_and_validate(rows: int) -> list[Login]:
    heading("Schema")
    manage("migrate", "--noinput", "--verbosity", "0")
    line("up to date")

    heading("Legacy data")
    provide_legacy_rows(rows)
    _, owners = manage_json("import_owners", "--from-legacy")
    line(f"{owners['created']:,} accounts made for owners in the data, {owners['existing']:,} were there")

    heading("Preflight")
    _, preflight = manage_json("preflight")
    line(f"{len(preflight['checks'])} checks passed")

    heading("Stage")
    _, stage = manage_json("stage", "status")
    if stage["stage"] == "off":
        _, stage = manage_json("stage", "advance", *HISTORY)
        line("off → dual_write: from now on changes are captured, so that the backfill can miss none")
    line(f"the migration stands at {stage['stage']}")

    heading("Backfill")
    _, backfill = manage_json("backfill", expected=(0, QUARANTINED))
    show_backfill(backfill)
    show_quarantine(manage_json("quarantine", "list")[1])
    if not adds_up(backfill):
        raise StepFailed("backfill", 1, "its counts do not add up")

    heading("Validation")
    exit_code, validation = manage_json("validate_migration", expected=(0, QUARANTINED, DIFFERENCES))
    show_validation(validation)
    if exit_code == DIFFERENCES:
        raise StepFailed("validate_migration", exit_code, LOOK_AND_REPAIR)

    heading("Accounts")
    logins = [provide_staff(), *provide_families()]
    for login in logins:
        line(f"{login.email}  password {login.password}")
    connections.close_all()
    return logins


def _serve(port: int, logins: list[Login]) -> None:
    heading("Starting web server, worker, scheduler, applier and evaluator …")
    manage("collectstatic", "--noinput", "--verbosity", "0")
    running = services(port, Path(settings.VAR_DIR) / "log")
    try:
        for service in running:
            service.start()
        while not answers(port):
            running[0].keep_running()
            time.sleep(LOOK)
        site = f"http://127.0.0.1:{port}"
        console.print(f"\n[bold green]The site runs at {site}/[/bold green]")
        line(f"administration  {site}/admin/")
        for login in logins:
            line(f"log in as {login.email} with {login.password}")
        line(f"logs are in {running[0].log.parent}; Ctrl-C ends everything")
        while True:
            for service in running:
                service.keep_running()
            time.sleep(LOOK)
    except KeyboardInterrupt:
        console.print("\nEnding …")
    finally:
        _ignore_signals()
        end_all(running)


@contextmanager
def _signals() -> Iterator[None]:
    """Take SIGTERM and SIGHUP for Ctrl-C while this lasts."""

    def terminate(number: int, frame: FrameType | None) -> None:
        raise Terminated

    before = {number: signal.getsignal(number) for number in ENDING}
    signal.signal(signal.SIGINT, signal.default_int_handler)  # shells let background jobs ignore it
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, terminate)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _ignore_signals() -> None:
    """From here on things are being ended; an impatient second Ctrl-C would leave processes behind."""
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)
