from datetime import timedelta

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _

from migration_ops.schedule import Periodically


class HabitsConfig(AppConfig):
    name = "habits"
    verbose_name = _("Habits")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from habits.migration import boards  # noqa: PLC0415 - its stores need the app registry
        from migration_ops import registry, schedule  # noqa: PLC0415

        registry.register(boards)
        schedule.declare(
            Periodically(name="weekly_reports", every=timedelta(hours=6), job="habits.jobs.make_weekly_reports")
        )
        schedule.declare(
            Periodically(name="purge_idempotency", every=timedelta(hours=1), job="habits.jobs.purge_idempotency")
        )
