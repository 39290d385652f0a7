from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.core.management.base import CommandParser
from rich.text import Text

from migration_ops import history
from migration_ops.alerts import Rounds
from migration_ops.backfill.stop import on_signals
from migration_ops.definition import AnyMigration
from migration_ops.exceptions import ExitCode, GateClosed, Refused, UnusableInput
from migration_ops.gates import Gate
from migration_ops.management.base import OperatorCommand, Outcome, Partial, ended_by
from migration_ops.management.presentation import brakes, gate_rows, history_rows, some
from migration_ops.rollout import control, evaluator, self_test, standing, wording
from migration_ops.rollout.control import Canaries, Change
from migration_ops.state import State

CHANGING = ("advance", "set", "canary", "hold", "resume", "kill", "unkill", "rollback")
VERBS = ("status", *CHANGING, "history", "evaluate", "self-test")


class Command(OperatorCommand):
    """`rollout status|advance|set P|canary|hold|resume|kill|unkill|rollback|history|evaluate|self-test`."""

    help = "Move reads to modern step by step, see whether it is safe, and take them back at once."
    writes_history = True
    has_dry_run = True

    def configure(self, parser: CommandParser) -> None:
        parser.add_argument("verb", nargs="?", default="status", choices=VERBS)
        parser.add_argument("value", nargs="?", metavar="PERCENT", help="with set: share of the units")
        parser.add_argument("--override", action="store_true", help="vouch for closed gates, as far as one can")
        parser.add_argument("--header", metavar="NAME", help="with canary: the header by which staff ask for a store")
        parser.add_argument("--cookie", metavar="NAME", help="with canary: the cookie that asks for a store")
        parser.add_argument("--percent", metavar="P", help="with canary: share of the units")
        parser.add_argument("--user", action="append", default=[], metavar="LOGIN", help="with canary: a user by name")
        parser.add_argument("--group", action="append", default=[], metavar="NAME", help="with canary: a group by name")
        parser.add_argument("--off", action="store_true", help="with canary: no canaries any more")
        parser.add_argument("--follow", action="store_true", help="with evaluate: stay, and do it again and again")
        parser.add_argument(
            "--processes", type=int, default=8, metavar="N", help="with self-test: how many (default 8)"
        )

    def run(self, options: dict[str, Any], partial: Partial) -> Outcome:
        migration = self.migration(options)
        verb = options["verb"]
        _refuse_strange(verb, options)
        if verb in CHANGING:
            return self._changed(migration, verb, options, partial)
        if verb == "history":
            return _history(migration)
        if verb == "evaluate":
            return self._evaluate(migration, options)
        if verb == "self-test":
            return _self_test(migration, options["processes"], dry_run=options["dry_run"])
        return _shown(migration)

    def _changed(self, migration: AnyMigration, verb: str, options: Mapping[str, Any], partial: Partial) -> Outcome:
        try:
            change = _CHANGES[verb](migration, options)
        except Refused as error:
            partial.data |= standing.as_dict(migration, standing.look(migration)) | {"eligible": False}
            if isinstance(error, GateClosed):
                partial.data["gates"] = [gate.as_dict() for gate in error.gates if isinstance(gate, Gate)]
            raise
        return _shown(migration, change, dry_run=options["dry_run"])

    def _evaluate(self, migration: AnyMigration, options: Mapping[str, Any]) -> Outcome:
        if options["dry_run"]:
            return _shown(migration, sentences=("Would keep what the gates say now, and act on clear failures.",))
        if not options["follow"]:
            done = evaluator.evaluate(migration)
            sentence = f"Evaluated {some(len(done.gates), 'gate')}; done: {done.done or 'nothing'}."
            return _shown(migration, sentences=(sentence,))
        with on_signals() as stop:
            evaluator.follow([migration], stop=stop, say=self.stderr.write, beside=Rounds().stand_in)
        raise ended_by(stop)


_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]+)?|\.[0-9]+)")


def _percent(text: str) -> Decimal:
    """Written as people write it, for a slip of the finger (`2_0`) that passes for a number moves families."""
    number = text.removesuffix("%").strip()
    if not _NUMBER.fullmatch(number):
        raise UnusableInput(f"{text!r} is no percentage from 0 to 100 with at most two decimals.")
    return Decimal(number)


_BELONGS = {
    "value": ("set",),
    "override": ("advance", "set"),
    "header": ("canary",),
    "cookie": ("canary",),
    "percent": ("canary",),
    "user": ("canary",),
    "group": ("canary",),
    "off": ("canary",),
    "follow": ("evaluate",),
}
"""Which option makes sense with which verbs."""


def _refuse_strange(verb: str, options: Mapping[str, Any]) -> None:
    """An option that means nothing here was meant for something else."""
    for name, verbs in _BELONGS.items():
        if options[name] not in (None, False, []) and verb not in verbs:
            said = "A percentage" if name == "value" else f"--{name}"
            raise UnusableInput(f"{said} belongs to `rollout {' or '.join(verbs)}`, not to {verb}.")
    if verb == "set" and options["value"] is None:
        raise UnusableInput("Say which share of the units: `rollout set 20`.")
    if verb == "canary":
        chosen = [name for name in ("header", "cookie", "percent", "user", "group") if options[name] not in (None, [])]
        if bool(chosen) == options["off"]:
            raise UnusableInput("Say which canaries (--header, --cookie, --percent, --user, --group), or --off.")
    if not 1 <= options["processes"] <= 64:
        raise UnusableInput("--processes must be 1 to 64.")


def _said(options: Mapping[str, Any]) -> dict[str, Any]:
    return {"actor": options["actor"], "reason": options["reason"], "dry_run": options["dry_run"]}


def _canary(migration: AnyMigration, options: Mapping[str, Any]) -> Change:
    if options["off"]:
        return control.canary_off(migration, **_said(options))
    chosen = Canaries(
        header=options["header"],
        cookie=options["cookie"],
        percent=None if options["percent"] is None else _percent(str(options["percent"])),
        users=tuple(_user(login) for login in options["user"]),
        groups=tuple(_group(name) for name in options["group"]),
    )
    return control.canary(migration, chosen, **_said(options))


def _user(login: str) -> Any:
    users = get_user_model()
    try:
        return users._default_manager.get(**{users.USERNAME_FIELD: login})
    except users.DoesNotExist:
        raise UnusableInput(f"There is no user {login!r}.") from None


def _group(name: str) -> Group:
    try:
        return Group.objects.get(name=name)
    except Group.DoesNotExist:
        raise UnusableInput(f"There is no group {name!r}.") from None


def _advance(migration: AnyMigration, options: Mapping[str, Any]) -> Change:
    return control.advance(migration, override=options["override"], **_said(options))


def _set(migration: AnyMigration, options: Mapping[str, Any]) -> Change:
    return control.set_percent(migration, _percent(options["value"]), override=options["override"], **_said(options))


def _plain(service: Callable[..., Change]) -> Callable[[AnyMigration, Mapping[str, Any]], Change]:
    return lambda migration, options: service(migration, **_said(options))


_CHANGES: Mapping[str, Callable[[AnyMigration, Mapping[str, Any]], Change]] = {
    "advance": _advance,
    "set": _set,
    "canary": _canary,
    "hold": _plain(control.hold),
    "resume": _plain(control.resume),
    "kill": _plain(control.kill),
    "unkill": _plain(control.unkill),
    "rollback": _plain(control.rollback),
}


def _shown(
    migration: AnyMigration, change: Change | None = None, *, dry_run: bool = False, sentences: tuple[str, ...] = ()
) -> Outcome:
    now = standing.look(migration)
    data = standing.as_dict(migration, now)
    if change is not None:
        sentences = (wording.would(change) if dry_run else wording.done(change),)
        data |= {
            "before": _place(change.before),
            "after": _place(change.after),
        }
        if dry_run:
            data |= {"dry_run": True, "gates": [gate.as_dict() for gate in change.gates] or data["gates"]}
    text = (*sentences, *_standing_sentences(now.state, data))
    shown = data["gates"]
    return Outcome(data, (*text, gate_rows(shown, step=data["next"])) if shown else text)


def _place(here: State) -> dict[str, Any]:
    return {"stage": here.stage.value, "percent": float(here.percent), "hold": here.hold, "kill": here.kill}


def _standing_sentences(now: State, data: Mapping[str, Any]) -> list[Text | str]:
    lines: list[Text | str] = [Text.assemble(f"{now.name}: ", (wording.place(now), "bold"), ".")]
    lines += brakes(hold=now.hold, kill=now.kill)
    people = data["canary_people"]
    if people["too_many"]:
        most = people["most"]
        sentence = f"{people['named']} people are canaries by name, and at most {most} can be: no group counts."
        lines.append(Text(sentence, style="yellow"))
    if data["next"] is None:
        lines.append("There is no step further on.")
    elif data["eligible"]:
        lines.append(f"The next step, to {data['next']}, may be made: `rollout advance`.")
    else:
        closed = [gate for gate in data["gates"] if gate["verdict"] != "pass" and not gate["waived"]]
        verb = "is" if len(closed) == 1 else "are"
        lines.append(f"The next step is to {data['next']}; {len(closed)} of {len(data['gates'])} gates {verb} closed.")
    return lines


MOST_ENTRIES = 1_000
"""Of the history that are shown, the latest ones."""


def _history(migration: AnyMigration) -> Outcome:
    now = standing.look(migration)
    data = standing.as_dict(migration, now, entries=MOST_ENTRIES)
    earlier = history.entries(migration).count() - len(data["history"])
    data["history_left_out"] = earlier
    left_out = (
        (f"{some(earlier, 'earlier entry', 'earlier entries')} not shown; the admin has all.",) if earlier else ()
    )
    return Outcome(data, (*left_out, history_rows(reversed(data["history"]))))


def _self_test(migration: AnyMigration, processes: int, *, dry_run: bool) -> Outcome:
    watching = some(processes, "process", "processes")
    if dry_run:
        would = f"Would let {watching} watch, and throw the kill switch of a migration that is there for this."
        return _shown(migration, sentences=(would,))
    seen = self_test.run(migration, processes=processes)
    data = {**standing.as_dict(migration, standing.look(migration)), "kill_seen_by": list(seen.milliseconds)}
    in_time = seen.last < self_test.LIMIT * 1000
    text = f"The last of {watching} saw the kill switch after {seen.last:.0f} ms (wanted: under 1,000 ms)."
    return Outcome(data, (text,), ExitCode.DONE if in_time else ExitCode.FAILED)
