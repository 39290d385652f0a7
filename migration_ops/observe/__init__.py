"""What happened, counted: metrics a minute, kept in the database."""
