"""Entry point: models can be imported only after Django is set up."""

import os
import sys
from importlib import import_module

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()
sys.exit(import_module("tests.benchmarks.run").main(sys.argv[1:]))
