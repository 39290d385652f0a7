"""Benchmarks: the product against its peers and the limit, on the same rows in one run. Started by `bin/bench`."""
