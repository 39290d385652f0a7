"""Django's PostgreSQL backend, with a server that is started by the first connection that needs it."""
