"""The pages of families, without a browser."""
