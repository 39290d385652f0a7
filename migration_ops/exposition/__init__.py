"""What the engine knows of its migrations, in the text format of Prometheus."""
