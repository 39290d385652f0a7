"""Moves a live Django app from one store to another, document by document, with a way back at every step.

The engine knows nothing of what the documents are. A domain declares a `Migration` (see `definition`) and registers it
(see `registry`); everything else here works on that declaration.
"""
