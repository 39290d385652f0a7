from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class MigrationOpsConfig(AppConfig):
    name = "migration_ops"
    verbose_name = _("Migration")
    default_auto_field = "django.db.models.BigAutoField"
