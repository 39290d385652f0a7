"""System checks of the engine: what is wrong with an installation, said before it starts."""


def register_all() -> None:
    """Make the checks known to Django."""
