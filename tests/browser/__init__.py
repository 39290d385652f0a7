"""The pages of families in a real browser."""
