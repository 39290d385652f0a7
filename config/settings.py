"""The one settings module; everything that differs between machines comes from the environment (see .env.example)."""

import os
from pathlib import Path

import environ
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from config.embedded import place
from config.environment import Environment, answers_to_the_world
from config.secret_key import kept_secret_key

BASE_DIR = Path(__file__).resolve().parent.parent
environ.Env.read_env(BASE_DIR / ".env")
env = Environment(os.environ)

VAR_DIR = Path(env.text("VAR_DIR", str(BASE_DIR / "var"))).resolve()

# --- The site -------------------------------------------------------------------------------------------------------

DEBUG = env.switch("DEBUG", default=False)
SECRET_KEY = env.text("SECRET_KEY") or kept_secret_key(VAR_DIR / "secret_key")
ALLOWED_HOSTS = env.words("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.words("CSRF_TRUSTED_ORIGINS")

HTTPS = env.switch("HTTPS", default=answers_to_the_world(ALLOWED_HOSTS))
SECURE_SSL_REDIRECT = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$"]
SESSION_COOKIE_SECURE = HTTPS
CSRF_COOKIE_SECURE = HTTPS
SECURE_HSTS_SECONDS = env.number("HSTS_SECONDS", default=86_400) if HTTPS else 0
BEHIND_PROXY = bool(env.switch("BEHIND_PROXY", default=False))
if BEHIND_PROXY:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
METRICS_TOKEN = env.token("METRICS_TOKEN")
SILENCED_SYSTEM_CHECKS = [
    "security.W005",  # HSTS for every subdomain, and
    "security.W021",  # for the browsers' preload list: promises for a whole domain, which is not ours to give
]
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],  # the admin's style sheets draw small pictures in data: addresses
        "object-src": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}
CSRF_FAILURE_VIEW = "habits.web.errors.csrf_failure"

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "waffle",
    "config.apps.BackgroundJobs",
    "django_htmx",
    "ninja",
    "config.embedded",
    "migration_ops",
    "habits",
]

MIDDLEWARE = [
    "migration_ops.web.probes.ProbesFirst",
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "habits.api.middleware.ApiErrors",
    "habits.readable.TextOnly",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "migration_ops.web.languages.PeopleOnly",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "migration_ops.web.middleware.RolloutMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "habits.web.errors.StoreAway",
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
ASGI_APPLICATION = "config.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "habits.web.notifications.unread",
            ],
        },
    }
]

# --- People ---------------------------------------------------------------------------------------------------------

AUTH_USER_MODEL = "habits.User"
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "children"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]

WRITES_PER_MINUTE = env.number("WRITES_PER_MINUTE", default=600)
READS_PER_MINUTE = env.number("READS_PER_MINUTE", default=3_000)
"""Requests a minute to the API, a user; 0 for as many as one likes."""

_mail = env.mail("EMAIL_URL")
EMAIL_BACKEND, EMAIL_HOST, EMAIL_PORT = _mail["EMAIL_BACKEND"], _mail["EMAIL_HOST"], _mail["EMAIL_PORT"]
EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = _mail["EMAIL_HOST_USER"], _mail["EMAIL_HOST_PASSWORD"]
EMAIL_USE_TLS, EMAIL_USE_SSL = _mail.get("EMAIL_USE_TLS", False), _mail.get("EMAIL_USE_SSL", False)
EMAIL_FILE_PATH = _mail["EMAIL_FILE_PATH"]
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = env.text("DEFAULT_FROM_EMAIL", "habits@localhost")

# --- PostgreSQL and Redis -------------------------------------------------------------------------------------------

_database = env.database("DATABASE_URL")
EMBEDDED_POSTGRESQL = _database is None
if _database is None:
    _database = {
        "ENGINE": "config.embedded.postgresql",
        "NAME": "app",
        "USER": "app",
        "PASSWORD": "",
        "HOST": str(place.socket_directory(VAR_DIR / "postgresql", ".s.PGSQL.5432")),
        "PORT": "5432",
    }
DATABASES = {
    "default": {
        **_database,
        "OPTIONS": {"connect_timeout": 2, **_database.get("OPTIONS", {})},
        "CONN_MAX_AGE": env.number("CONN_MAX_AGE", default=60),
        "CONN_HEALTH_CHECKS": True,
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL = env.redis("REDIS_URL")
EMBEDDED_REDIS = not REDIS_URL
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
if EMBEDDED_REDIS:
    REDIS_URL = place.socket_url(VAR_DIR / "redis", "redis.sock")
    CACHES["queue"] = {"BACKEND": "config.embedded.queue.QueueConnections", "LOCATION": REDIS_URL}
    RQ_QUEUES = {"default": {"USE_REDIS_CACHE": "queue"}}
else:
    RQ_QUEUES = {"default": {"URL": REDIS_URL}}
RQ_QUEUES["default"]["SERIALIZER"] = "rq.serializers.JSONSerializer"
RQ = {"WORKER_CLASS": "migration_ops.worker.ReportingWorker"}

# --- Language, time, files ------------------------------------------------------------------------------------------

LANGUAGES = [("ko", "한국어"), ("en", "English")]
LANGUAGE_CODE = env.choice("LANGUAGE_CODE", {"": "ko", "ko": "ko", "en": "en"})
LOCALE_PATHS = [BASE_DIR / "locale"]
FORMAT_MODULE_PATH = ["config.formats"]
TIME_ZONE = env.time_zone("TIME_ZONE", default="Asia/Seoul")
USE_TZ = True

STATIC_URL = "/static/"
STATIC_ROOT = VAR_DIR / "static"
if os.access(VAR_DIR, os.W_OK):
    STATIC_ROOT.mkdir(exist_ok=True)  # whitenoise warns of a directory that is not there yet
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "config.static.StaticFiles"},
}
WHITENOISE_USE_FINDERS = True
WHITENOISE_MANIFEST_STRICT = False

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "loggers": {"health_check": {"level": "ERROR"}},  # every probe would say again, with a traceback, what it answers
    "root": {
        "handlers": ["stderr"],
        "level": env.choice(
            "LOG_LEVEL", {"": "WARNING", **{word.lower(): word for word in ("DEBUG", "INFO", "WARNING", "ERROR")}}
        ),
    },
}

# --- The migration --------------------------------------------------------------------------------------------------

LEGACY_BACKEND = env.choice("LEGACY_BACKEND", {"": "table", "table": "table", "json": "json"})
LEGACY_JSON_PATH = env.text("LEGACY_JSON_PATH")
if LEGACY_BACKEND == "json" and not LEGACY_JSON_PATH:
    raise ImproperlyConfigured("LEGACY_BACKEND=json needs LEGACY_JSON_PATH, the path of the legacy file.")
if LEGACY_JSON_PATH and Path(LEGACY_JSON_PATH).is_dir():
    raise ImproperlyConfigured(
        f"LEGACY_JSON_PATH={LEGACY_JSON_PATH!r} is a directory. Write the path of the legacy file."
    )

DATA_BACKEND = env.choice(
    "DATA_BACKEND", {"": "", "legacy": "legacy", "json": "legacy", "modern": "modern", "postgres": "modern"}
)
"""Pin of all reads: "legacy", "modern", or "" for what the database row says."""

DUAL_WRITE = env.switch("DUAL_WRITE", default=None)
"""False stops writing to the follower; None leaves it to the stage."""

SLACK_WEBHOOK_URL = env.address("SLACK_WEBHOOK_URL")
SLACK_WEBHOOK_HOSTS = env.words("SLACK_WEBHOOK_HOSTS", default=["hooks.slack.com"])
ALERT_EMAILS = env.words("ALERT_EMAILS")
DEFAULT_EXCEPTION_REPORTER_FILTER = "config.hidden_settings.HiddenSettings"

WAFFLE_FLAG_MODEL = "migration_ops.Flag"
WAFFLE_CREATE_MISSING_FLAGS = False
WAFFLE_CACHE_NAME = "waffle"
CACHES["waffle"] = {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}  # a switch is what the database says now
