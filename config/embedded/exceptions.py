"""What can go wrong while an embedded server is started."""


class EmbeddedServerError(Exception):
    """An embedded server could not be started; the message says why and what to do."""
