"""`python -m tests.notes.manage COMMAND …`: the product's commands with only the tiny domain, for real processes."""

from __future__ import annotations

import os
import sys

import django
from django.core.management import execute_from_command_line

from tests.notes.migration import register_alone

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    register_alone()
    execute_from_command_line(sys.argv)
