"""Entry point of an asynchronous web server."""

import os

from django.core.asgi import get_asgi_application
from django.utils.module_loading import import_string

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
application = get_asgi_application()
import_string("config.serving.begin")()  # not imported before the models are loaded
