from django.apps import AppConfig
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _


class MigrationOpsConfig(AppConfig):
    name = "migration_ops"
    verbose_name = _("Migration")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from migration_ops import checks, gates, groups, guards, schedule  # noqa: PLC0415
        from migration_ops.models import Flag  # noqa: PLC0415
        from migration_ops.rollout import flags  # noqa: PLC0415
        from migration_ops.sync import capture  # noqa: PLC0415
        from migration_ops.verify.watch import HOURLY  # noqa: PLC0415

        Flag.decide = staticmethod(flags.is_active)
        checks.register_all()
        gates.register_all()
        schedule.declare(HOURLY)
        post_migrate.connect(guards.after_migrate, sender=self, dispatch_uid="migration_ops.guards")
        post_migrate.connect(capture.after_migrate, sender=self, dispatch_uid="migration_ops.capture")
        post_migrate.connect(groups.after_migrate, sender=self, dispatch_uid="migration_ops.groups")
