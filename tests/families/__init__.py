"""What families do, in every kind of installation and at every stage."""
