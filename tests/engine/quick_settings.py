"""The site's settings with a background that a test can watch: leases, slices and looks of a second or less."""

import os
from datetime import timedelta

from config.settings import *  # noqa: F403

MIGRATION_OPS = {
    "LEASE": timedelta(seconds=3),
    "SLICE": timedelta(seconds=float(os.environ.get("SLICE_SECONDS", "1"))),
    "SCHEDULER_INTERVAL": timedelta(milliseconds=200),
    "METRICS_FLUSH": timedelta(milliseconds=300),
    "RECONNECT_PATIENCE": timedelta(seconds=2),
}
