"""What the engine adds to templates of the admin."""
