"""The control room's charts."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.translation import gettext as _

from migration_ops.definition import AnyMigration, Side
from migration_ops.observe.charts import HEIGHT, WIDTH, Bar, bars, ceiling, line
from migration_ops.observe.counted import Day
from migration_ops.observe.measures import What
from migration_ops.web import wording
from migration_ops.web.shapes import grouped, rows
from migration_ops.web.wording import Text


@dataclass(frozen=True, slots=True)
class Chart:
    """A small picture.

    Attributes:
        summary: what a screen reader says instead.
        top: what its upper edge stands for.
        bars, lines: shapes, each with the class that colours it.
        legend: classes and what they stand for.
        link: to the rows.
    """

    title: str
    summary: str
    top: str
    bars: tuple[tuple[str, tuple[Bar, ...]], ...]
    lines: tuple[tuple[str, str], ...]
    legend: tuple[tuple[str, Text], ...]
    link: str
    empty: bool
    width: float = WIDTH
    height: float = HEIGHT


def charts(migration: AnyMigration, day: Day) -> tuple[Chart, ...]:
    """The last 24 hours: who answered, how fast, and which second writes failed."""
    since = day.begins[0].isoformat(timespec="seconds")

    def link(name: str) -> str:
        return rows("metric", migration__exact=migration.name, name__exact=name, minute__gte=since)

    legacy, modern = (day.reads[side.value] for side in Side)
    most = ceiling([one + other for one, other in zip(legacy, modern, strict=True)])
    sides = tuple((side.value, wording.SIDES[side.value]) for side in Side)
    times = [value * 1000 for side in Side for value in day.p95[side.value] if value is not None]
    slowest = ceiling(times)
    p95 = {side.value: [None if value is None else value * 1000 for value in day.p95[side.value]] for side in Side}
    tried = ceiling(day.writes)
    good = [all_ - bad for all_, bad in zip(day.writes, day.failed, strict=True)]
    return (
        Chart(
            title=_("Reads by store"),
            summary=_("answered by legacy: %(legacy)s, by modern: %(modern)s")
            % {
                "legacy": grouped(sum(legacy)),
                "modern": grouped(sum(modern)),
            },
            top=wording.measured(most),
            bars=(("legacy", bars(legacy, top=most)), ("modern", bars(modern, top=most, below=legacy))),
            lines=(),
            legend=sides,
            link=link(What.READ),
            empty=not sum(legacy) + sum(modern),
        ),
        Chart(
            title=_("p95 of comparisons"),
            summary=_("slowest half hour: legacy %(legacy)s, modern %(modern)s")
            % {side.value: wording.milliseconds(_slowest(day, side)) for side in Side},
            top=f"{wording.measured(slowest)} ms",
            bars=(),
            lines=tuple((side.value, line(p95[side.value], top=slowest)) for side in Side),
            legend=sides,
            link=link(What.PAIRED_READ),
            empty=not times,
        ),
        Chart(
            title=_("Second writes"),
            summary=_("attempted: %(writes)s, not in both stores at once: %(failed)s")
            % {
                "writes": grouped(sum(day.writes)),
                "failed": grouped(sum(day.failed)),
            },
            top=wording.measured(tried),
            bars=(("both", bars(good, top=tried)), ("failed", bars(day.failed, top=tried, below=good))),
            lines=(),
            legend=(("both", _("in both stores")), ("failed", _("not at once"))),
            link=link(What.WRITE),
            empty=not sum(day.writes),
        ),
    )


def _slowest(day: Day, side: Side) -> float | None:
    return max((value for value in day.p95[side.value] if value is not None), default=None)
