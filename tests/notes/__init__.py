"""A second, tiny domain: notes kept line by line in a legacy table, as one row with an array in the modern one.

It proves that the engine knows nothing of habits, and lets the engine be tested on little data.
"""
