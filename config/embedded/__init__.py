"""PostgreSQL and Redis for machines that have none.

Both live under `var/`, are started by the first connection that finds nobody listening, are shared by every process of
this checkout, and stay until `manage.py embedded stop`. Nothing here runs while DATABASE_URL and REDIS_URL are set, and
merely importing the settings starts nothing.
"""
