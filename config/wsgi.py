"""Entry point of the web server."""

import os

from django.conf import settings
from django.core.wsgi import get_wsgi_application

from config.chunked import Measured
from migration_ops.observe import metrics

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
application = Measured(get_wsgi_application(), most=settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
metrics.keep_flushing()
