from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class HabitsConfig(AppConfig):
    name = "habits"
    verbose_name = _("Habits")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from habits.migration import boards  # noqa: PLC0415 - its stores need the app registry
        from migration_ops import registry  # noqa: PLC0415

        registry.register(boards)
