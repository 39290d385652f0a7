"""Addresses of the engine outside of the admin."""

from django.urls import path

from migration_ops.web import scrape

urlpatterns = [
    path("metrics", scrape.metrics, name="metrics"),
]
