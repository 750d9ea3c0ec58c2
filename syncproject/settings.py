"""Django's and Celery's settings, made from `syncproject.env`."""

from __future__ import annotations

import zoneinfo
from datetime import timedelta
from pathlib import Path
from typing import Any

import environ
from django.core.exceptions import ImproperlyConfigured
from django.templatetags.static import static
from kombu.entity import Queue

from syncproject import env as environment
from tasks.queues import CONTROL, QUEUES, ROUTES

ENV = environment.read()

# Zones come from the pinned package `tzdata`, not from the machine: a fleet agrees on when a fire is.
zoneinfo.reset_tzpath(())
zoneinfo.ZoneInfo.clear_cache()

DEBUG = ENV.debug
SECRET_KEY = ENV.secret_key
if not SECRET_KEY:
    if ENV.has_database and not environment.is_launcher():
        raise ImproperlyConfigured("SECRET_KEY is not set: give it, or SECRET_KEY_FILE")
    # Commands that touch no data (checks, types, the launcher) run without one.
    SECRET_KEY = "no-stack-is-running"  # noqa: S105 — signs nothing: there is no database to serve
ALLOWED_HOSTS = list(ENV.allowed_hosts)
CSRF_TRUSTED_ORIGINS = list(ENV.csrf_trusted_origins)

INSTALLED_APPS = [
    "unfold",
    "django.contrib.admin.apps.SimpleAdminConfig",  # `syncproject.urls` looks for its pages
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "django_celery_beat",
    "ninja",  # for the static files of /api-docs
    "axes",
    "workspaces",
    "connectors",
    "datasets",
    "events",
    "search",
    "syncjobs",
    "outbox",
    "alerts",
    "console",
    "cli",
    "embedded",
]
MIDDLEWARE = [
    "console.proxies.believe_trusted_proxies",
    "console.policy.restrict_pages",
    "console.compressing.compress_pages",
    "api.rest.problems.tell_problems",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "api.mcp.serving.let_agents_in",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "api.rest.acting.act_for_caller",
    "django.contrib.messages.middleware.MessageMiddleware",
    "axes.middleware.AxesMiddleware",
]
ROOT_URLCONF = "syncproject.urls"
WSGI_APPLICATION = "syncproject.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [
            Path(__file__).parents[1] / "console/overrides"
        ],  # Unfold would be found before us
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES: dict[str, dict[str, Any]] = {
    "default": {
        **environ.Env.db_url_config(ENV.database_url),
        "ENGINE": "django.db.backends.postgresql",
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
        # A stopped worker must not block the others, a dead network must not hang a worker.
        "OPTIONS": {
            **environ.Env.db_url_config(ENV.database_url).get(
                "OPTIONS", {}
            ),  # sslmode and its like
            "connect_timeout": 5,
            "tcp_user_timeout": 10_000,
            "options": "-c statement_timeout=30s -c lock_timeout=5s"
            " -c idle_in_transaction_session_timeout=20s",
        },
    }
}
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]

AUTHENTICATION_BACKENDS = [
    "console.locking_out.LockoutBackend",
    "django.contrib.auth.backends.ModelBackend",
]
# By user and address together: nobody elsewhere can lock a person out. Behind a proxy that is not named all have its
# address, and the user alone counts: even there one is locked out, not everybody. What one address tries of many users
# is counted in `console.locking_out`.
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_FAILURE_LIMIT = 10
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False  # nor does anything grow with further tries
AXES_RESET_ON_SUCCESS = True
AXES_USERNAME_CALLABLE = "console.locking_out.read_username"
AXES_CLIENT_IP_CALLABLE = "console.locking_out.find_client_address"
AXES_LOCKOUT_CALLABLE = "console.locking_out.tell_locked_out"
AXES_DISABLE_ACCESS_LOG = True
AXES_ENABLE_ADMIN = False
AXES_VERBOSE = False

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = False
STATIC_URL = "/static/"
STATIC_ROOT = ENV.data_dir / "static"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
WHITENOISE_MANIFEST_STRICT = False
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"

SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = ENV.https_only
# Only of proxies that TRUSTED_PROXIES names: console.proxies takes the field from all others.
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_REDIRECT_EXEMPT = [r"^health$", r"^metrics$"]  # asked by neighbours, not through the proxy
SECURE_CONTENT_TYPE_NOSNIFF = True
X_FRAME_OPTIONS = "DENY"
SILENCED_SYSTEM_CHECKS: list[str] = []

# The product's own settings.
STORE_ROOT = ENV.data_dir / "store"
TREE_ROOT = ENV.tree_root
SECRETS_KEYS = ENV.secrets_keys
ALLOWED_NETWORKS = ENV.allowed_networks
OWN_LISTENERS = ENV.own_listeners
METRICS_NETWORKS = ENV.metrics_networks
TRUSTED_PROXIES = ENV.trusted_proxies
CRON_SECRET = ENV.cron_secret
SYNC = ENV
OUTBOX_MAX_RETRIES = ENV.outbox_max_retries
OUTBOX_BATCH_SIZE = ENV.outbox_batch_size
FLOWER_URL = ENV.flower_url
PUBLIC_URL = ENV.public_url
WORKERS_EXPECTED = ENV.workers_expected

# Celery: PostgreSQL owns every fact, a message is a doorbell (docs/decisions/001).
CELERY_BROKER_URL = ENV.redis_url
CELERY_RESULT_BACKEND = None
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_ACKS_LATE = False  # a redelivered bell would only ring twice
CELERY_TASK_REJECT_ON_WORKER_LOST = False
CELERY_TASK_PUBLISH_RETRY = False  # the next tick is the retry
CELERY_TASK_CREATE_MISSING_QUEUES = False
CELERY_TASK_QUEUES = [Queue(name) for name in QUEUES]  # type: ignore[no-untyped-call]
CELERY_TASK_DEFAULT_QUEUE = CONTROL
CELERY_TASK_ROUTES = ROUTES
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_DISABLE_PREFETCH = True  # else long records starve short ones
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False
CELERY_WORKER_ENABLE_PREFETCH_COUNT_REDUCTION = False
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = 0  # SystemExit could hit a COMMIT; we drain instead
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_REDIRECT_STDOUTS = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_BROKER_CHANNEL_ERROR_RETRY = True  # a Redis that became a replica must not end its workers
CELERY_BROKER_CONNECTION_TIMEOUT = 4
CELERY_BROKER_POOL_LIMIT = 10
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 600,
    "socket_timeout": 10,
    "socket_connect_timeout": 3,
    "socket_keepalive": True,
    "health_check_interval": 10,
    "unacked_restore_limit": 100,
    "global_keyprefix": "sync:",
}
CELERY_BEAT_MAX_LOOP_INTERVAL = 1
CELERY_BEAT_SYNC_EVERY = 1
CELERY_TIMEZONE = "UTC"
CELERY_ENABLE_UTC = True
# Autodiscovery finds nothing in a top-level `tasks` package, silently; a test holds this list whole.
CELERY_INCLUDE = ["tasks.canaries", *(f"tasks.{queue}" for queue in QUEUES)]

LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {},  # syncproject.logs adds "facts"
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "facts"}},
    "root": {"handlers": ["stderr"], "level": "INFO"},
    "loggers": {
        "paramiko": {"level": "CRITICAL"},  # its errors reach us as exceptions
        "urllib3": {"level": "ERROR"},
        "celery.app.trace": {"level": "WARNING"},
        "celery.worker.strategy": {"level": "WARNING"},
    },
}
LOGGING_CONFIG = "syncproject.logs.configure"

UNFOLD = {
    "SITE_TITLE": "SyncProject",
    "SITE_HEADER": "SyncProject",
    "SITE_SUBHEADER": "Copies you can trust",
    "SITE_SYMBOL": "sync",
    "SITE_FAVICONS": [
        {
            "rel": "icon",
            "type": "image/svg+xml",
            "href": lambda request: static("console/favicon.svg"),
        }
    ],
    "SHOW_HISTORY": True,
    "SHOW_VIEW_ON_SITE": False,
    "BORDER_RADIUS": "6px",
    "DASHBOARD_CALLBACK": "console.dashboard.fill",
    "SIDEBAR": {"show_search": True, "navigation": "console.navigation.sections"},
}
