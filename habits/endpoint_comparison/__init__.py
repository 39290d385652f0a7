"""Asks the API the same questions of both stores: whether the answers are the same bytes, and which one is faster.

Nothing is written, and nobody notices: the requests are made in this process, in transactions that can only read.
"""

from habits.endpoint_comparison.comparing import compare
from habits.endpoint_comparison.report import Report

__all__ = ["Report", "compare"]
