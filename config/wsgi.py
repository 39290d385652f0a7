"""Entry point of the web server."""

import os

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.utils.module_loading import import_string

from config.chunked import Measured
from habits.readable import Addresses
from migration_ops.observe.heartbeat import Role

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
application = Measured(Addresses(get_wsgi_application()), most=settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
import_string("migration_ops.observe.reporting.keep_reporting")(Role.WEB)  # not before the models are loaded
