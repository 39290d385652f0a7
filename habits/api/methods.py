"""Methods that addresses know."""

from __future__ import annotations

READING = ["GET", "HEAD"]
"""HEAD is answered as GET is, and the server leaves the content out."""
