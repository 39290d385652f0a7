"""Entry point of the web server."""

import os

from django.core.wsgi import get_wsgi_application

from migration_ops.observe import metrics

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
application = get_wsgi_application()
metrics.keep_flushing()
