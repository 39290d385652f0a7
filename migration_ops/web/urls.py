"""Addresses of the engine outside of the admin."""

from django.urls import path

from migration_ops.web import probes, scrape

urlpatterns = [
    path("healthz", probes.healthz, name="healthz"),
    path("readyz", probes.Readiness.as_view(), name="readyz"),
    path("metrics", scrape.metrics, name="metrics"),
]
