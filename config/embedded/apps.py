from django.apps import AppConfig


class EmbeddedConfig(AppConfig):
    """Brings `manage.py embedded`; starts nothing."""

    name = "config.embedded"
    label = "embedded"
