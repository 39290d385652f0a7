"""How a child is written in an address: by name, which may hold anything a family wrote, slashes and line ends too."""

from __future__ import annotations

from django.urls import register_converter
from django.urls.converters import StringConverter


class ChildName(StringConverter):
    """The server has decoded `%2F` already when the address reaches us, so that a name is whatever fits."""

    regex = r"(?s:.+)"


register_converter(ChildName, "child_name")

CHILD = "/children/{child_name:name}"
"""What the addresses of one child begin with."""
