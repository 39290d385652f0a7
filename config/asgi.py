"""Entry point of an asynchronous web server."""

import os

from django.core.asgi import get_asgi_application
from django.utils.module_loading import import_string

from migration_ops.observe.heartbeat import Role

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
application = get_asgi_application()
import_string("migration_ops.observe.reporting.keep_reporting")(Role.WEB)  # not before the models are loaded
