"""The site's settings with a ramp that a test can watch: short soaks, and rates that some hundred requests prove."""

from datetime import timedelta

from config.settings import *  # noqa: F403

MIGRATION_OPS = {
    "RAMP_PLAN": tuple((percent, timedelta(seconds=1)) for percent in (5, 20, 50, 100)),
    "WRITE_FAILURE_RATE": 0.05,
    "READ_ERROR_RATE": 0.05,
    "READ_LATENCY_RATIO": 5.0,  # of a machine that runs tests beside it
    "SYNC_LAG_LIMIT": timedelta(seconds=30),
    "SHADOW_READ_PERCENT": 100,
    "SHADOW_READS_AT_ONCE": 8,
    "SHADOW_READ_PATIENCE": timedelta(seconds=2),
    "FOLLOWER_PATIENCE": timedelta(seconds=2),
    "METRICS_FLUSH": timedelta(milliseconds=300),
    "EVALUATE_INTERVAL": timedelta(milliseconds=500),
    "COOL_DOWN": timedelta(seconds=1),
    "SYNC_HEARTBEAT": timedelta(milliseconds=200),
}
