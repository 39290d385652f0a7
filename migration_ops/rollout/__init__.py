"""Who is served from which store, and why."""
