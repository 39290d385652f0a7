"""Entry point of the web server."""

import os

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.utils.module_loading import import_string

from config.chunked import Measured
from habits.readable import Addresses

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
application = Measured(Addresses(get_wsgi_application()), most=settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
import_string("config.serving.begin")()  # not imported before the models are loaded
