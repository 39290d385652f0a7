"""What the control room calls things, in the language of whoever looks."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.utils import translation
from django.utils.formats import number_format
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from migration_ops import sentence
from migration_ops.backfill.health import BESIDE_OTHERS
from migration_ops.gates import Verdict
from migration_ops.gates.whole_runs import MISMATCHES
from migration_ops.models import RunStatus, Severity
from migration_ops.observe.measures import ShadowOutcome
from migration_ops.rollout.routing import Reason
from migration_ops.stages import Stage
from migration_ops.state import State
from migration_ops.sync.draft import Outcome
from migration_ops.verify.compare import Kind

Text = str | Promise

STAGES: Mapping[Stage, Text] = {
    Stage.OFF: gettext_lazy("off"),
    Stage.DUAL_WRITE: gettext_lazy("dual_write"),
    Stage.SHADOW: gettext_lazy("shadow"),
    Stage.RAMP: gettext_lazy("ramp"),
    Stage.LIVE: gettext_lazy("live"),
    Stage.FROZEN: gettext_lazy("frozen"),
    Stage.ARCHIVED: gettext_lazy("archived"),
    Stage.DROPPED: gettext_lazy("dropped"),
}

MEANINGS: Mapping[Stage, Text] = {
    Stage.OFF: gettext_lazy("Reads and writes are legacy's alone."),
    Stage.DUAL_WRITE: gettext_lazy("Legacy answers; every change is written to both stores."),
    Stage.SHADOW: gettext_lazy("Legacy answers; a share of the reads is compared with modern."),
    Stage.RAMP: gettext_lazy("A share of the units reads modern; every change is written to both stores."),
    Stage.LIVE: gettext_lazy("Modern answers everybody; every change is still written to both stores."),
    Stage.FROZEN: gettext_lazy("Modern alone is written; legacy refuses."),
    Stage.ARCHIVED: gettext_lazy("Legacy is archived under another name."),
    Stage.DROPPED: gettext_lazy("Legacy is gone."),
}

SIDES: Mapping[str, Text] = {"legacy": gettext_lazy("Legacy"), "modern": gettext_lazy("Modern")}

REASONS: Mapping[str, Text] = {
    Reason.PIN: gettext_lazy("pinned by a setting"),
    Reason.KILL: gettext_lazy("kill switch"),
    Reason.STAGE: gettext_lazy("stage"),
    Reason.HEADER: gettext_lazy("canary header"),
    Reason.COOKIE: gettext_lazy("canary cookie"),
    Reason.USER: gettext_lazy("canary by name"),
    Reason.GROUP: gettext_lazy("canary by group"),
    Reason.CANARY: gettext_lazy("canaries' share"),
    Reason.BUCKET: gettext_lazy("bucket"),
    Reason.DIRTY: gettext_lazy("waits to be applied"),
    Reason.QUARANTINED: gettext_lazy("in quarantine"),
    Reason.FALLBACK: gettext_lazy("modern failed, legacy answered"),
    Reason.BREAKER: gettext_lazy("modern left alone after failures"),
}

VERDICTS: Mapping[Verdict, Text] = {
    Verdict.PASS: gettext_lazy("passes"),
    Verdict.FAIL: gettext_lazy("fails"),
    Verdict.INCONCLUSIVE: gettext_lazy("not known yet"),
    Verdict.ERROR: gettext_lazy("could not be computed"),
}

OUTCOMES: Mapping[str, Text] = {
    Outcome.BOTH: gettext_lazy("in both stores"),
    Outcome.FAILED: gettext_lazy("failed"),
    Outcome.DIFFERENT: gettext_lazy("written, but different"),
    Outcome.LATER: gettext_lazy("right after the commit"),
    Outcome.SWITCHED_OFF: gettext_lazy("switched off by a setting"),
    Outcome.HELD: gettext_lazy("held by quarantine"),
    Outcome.ONE_STORE: gettext_lazy("one store alone"),
}

COMPARISONS: Mapping[str, Text] = {
    ShadowOutcome.MATCHED: gettext_lazy("equal"),
    ShadowOutcome.IGNORED: gettext_lazy("different, as a rule allows"),
    ShadowOutcome.MISMATCHED: gettext_lazy("different, also when read again"),
    ShadowOutcome.ERROR: gettext_lazy("not compared: no answer"),
}

KINDS: Mapping[str, Text] = {
    Kind.MISMATCHED: gettext_lazy("different"),
    Kind.MISSING_IN_MODERN: gettext_lazy("only in legacy"),
    Kind.MISSING_IN_LEGACY: gettext_lazy("only in modern"),
}
"""What a difference is."""


RUN_TONES: Mapping[str, str] = {
    RunStatus.SUCCEEDED: "good",
    RunStatus.FAILED: "bad",
    RunStatus.CANCELLED: "unsure",
    RunStatus.PAUSED: "unsure",
}
"""How it is meant that a run ended, or stopped, like this."""


def run_tone(status: str, result: Mapping[str, Any]) -> str:
    """How it is meant that a run ended like this with such a result: one that found what nobody explained is no good
    news, however well it went."""
    unequal = sum(int(result.get(each) or 0) for each in (*MISMATCHES, "stray_rows"))
    return "bad" if unequal > int(result.get("explained") or 0) else RUN_TONES.get(status, "")


def hold_reason(kept: str) -> str:
    """Why a run goes slowly, in the language of whoever looks; a reason with figures stays in English."""
    return translated(BESIDE_OTHERS) if kept == BESIDE_OTHERS else kept


def severity(kept: str) -> str:
    """How bad a difference is; of what was found before that was judged, that it was not."""
    return str(Severity(kept).label) if kept in set(Severity) else _("not judged")


GATES: Mapping[str, Text] = {
    "preflight_clean": gettext_lazy("Preflight"),
    "capture_intact": gettext_lazy("Capture"),
    "backfill_complete": gettext_lazy("Backfill"),
    "quarantine_decided": gettext_lazy("Quarantine"),
    "validation_clean": gettext_lazy("Validation"),
    "dirty_keys_drained": gettext_lazy("Dirty keys"),
    "constraints_validated": gettext_lazy("Constraints"),
    "processes": gettext_lazy("Processes"),
    "dual_write_success": gettext_lazy("Second writes"),
    "shadow_reads_clean": gettext_lazy("Compared reads"),
    "sync_lag": gettext_lazy("Lag"),
    "evaluator_alive": gettext_lazy("Evaluator"),
    "cooled_down": gettext_lazy("Cool-down"),
    "read_errors": gettext_lazy("Errors of reads"),
    "read_latency": gettext_lazy("Latency of reads"),
    "soak_elapsed": gettext_lazy("Soak"),
    "ramp_complete": gettext_lazy("End of the ramp"),
    "plan_followed": gettext_lazy("Plan"),
    "second_person": gettext_lazy("Second person"),
    "archive_verified": gettext_lazy("Archive"),
    "quiet_elapsed": gettext_lazy("Quiet time"),
}


VERBS: Mapping[str, Text] = {
    "advance": gettext_lazy("advance"),
    "back": gettext_lazy("back"),
    "set": gettext_lazy("set"),
    "canary": gettext_lazy("canary"),
    "hold": gettext_lazy("hold"),
    "resume": gettext_lazy("resume"),
    "kill": gettext_lazy("kill"),
    "unkill": gettext_lazy("unkill"),
    "rollback": gettext_lazy("rollback"),
    "automatic rollback": gettext_lazy("automatic rollback"),
    "override": gettext_lazy("override"),
    "backfill start": gettext_lazy("backfill start"),
    "backfill resume": gettext_lazy("backfill resume"),
    "backfill pause": gettext_lazy("backfill pause"),
    "backfill cancel": gettext_lazy("backfill cancel"),
    "backfill paused": gettext_lazy("backfill paused"),
    "backfill cancelled": gettext_lazy("backfill cancelled"),
    "backfill succeeded": gettext_lazy("backfill succeeded"),
    "backfill failed": gettext_lazy("backfill failed"),
    "validation start": gettext_lazy("validation start"),
    "validation resume": gettext_lazy("validation resume"),
    "validation pause": gettext_lazy("validation pause"),
    "validation cancel": gettext_lazy("validation cancel"),
    "validation paused": gettext_lazy("validation paused"),
    "validation cancelled": gettext_lazy("validation cancelled"),
    "validation failed": gettext_lazy("validation failed"),
    "rehearsal start": gettext_lazy("dry run start"),
    "rehearsal cancel": gettext_lazy("dry run cancel"),
    "rehearsal cancelled": gettext_lazy("dry run cancelled"),
    "rehearsal failed": gettext_lazy("dry run failed"),
    "difference explain": gettext_lazy("difference explain"),
    "difference reopen": gettext_lazy("difference reopen"),
    "look for drift": gettext_lazy("look for drift"),
    "quarantine accept": gettext_lazy("quarantine accept"),
    "quarantine assign-owner": gettext_lazy("quarantine assign-owner"),
    "quarantine retry": gettext_lazy("quarantine retry"),
    "repair": gettext_lazy("repair"),
    "acknowledge alert": gettext_lazy("acknowledge alert"),
    "shadow_schema drop": gettext_lazy("shadow_schema drop"),
    "changed by SQL": gettext_lazy("changed by SQL"),
    "flag added": gettext_lazy("flag added"),
    "flag removed": gettext_lazy("flag removed"),
    "flag changed": gettext_lazy("flag changed"),
    "canary added": gettext_lazy("canary added"),
    "canary removed": gettext_lazy("canary removed"),
    "canary changed": gettext_lazy("canary changed"),
}
"""What the history calls what was done; in English it is the word that is kept."""


def verb(kept: str) -> Text:
    """What was done, as the history keeps it, in words; what an entry of later days says stays as it is."""
    return VERBS.get(kept, kept)


def stage_named(kept: str) -> Text:
    """A stage by the word that is kept; a dash for none."""
    return STAGES[Stage(kept)] if kept in set(Stage) else kept or "–"


def translated(text: str) -> str:
    """What the engine says, in the language of whoever looks; a text that is no `Sentence` stays as it is."""
    return sentence.translated(text, translation)


def declared(text: str) -> str:
    """A text that a migration declares for translation, in the language of whoever looks."""
    return translated(sentence.word(text))


def percent(value: Decimal) -> str:
    """`12.5 %`, without zeros that say nothing."""
    return f"{number_format(f'{value.normalize():f}')} %"


def stage(now: State) -> str:
    """The stage, with the percentage where that belongs to it."""
    name = str(STAGES[now.stage])
    if now.stage is not Stage.RAMP:
        return name
    return _("%(stage)s at %(percent)s") % {"stage": name, "percent": percent(now.percent)}


def milliseconds(seconds: float | None) -> str:
    """A latency; a dash where none was measured."""
    if seconds is None:
        return "–"
    value = seconds * 1000
    return f"{number_format(value, 1 if value < 100 else 0, force_grouping=True)} ms"


def age(seconds: float | None) -> str:
    """How long ago or for how long, roughly; a dash where it is not known."""
    if seconds is None:
        return "–"
    whole = int(seconds)
    if whole < 120:
        return _("%(n)d s") % {"n": whole}
    if whole < 2 * 3600:
        return _("%(n)d min") % {"n": whole // 60}
    if whole < 2 * 86_400:
        return _("%(n)d h") % {"n": whole // 3600}
    return _("%(n)d days") % {"n": whole // 86_400}


def duration(length: timedelta) -> str:
    """A length of time, as `age` has it."""
    return age(length.total_seconds())


def measured(value: Any) -> str:
    """What a gate measured or is held against; a dash for nothing."""
    if value is None:
        return "–"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return number_format(f"{value:.4g}" if abs(value) < 1000 else f"{value:.0f}", force_grouping=True)
