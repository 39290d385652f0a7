"""A habit tracker for kids: weekly boards, in one legacy table or file, and in a normalised schema."""
