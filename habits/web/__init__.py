"""The pages of families: views that parse, call one service and present."""
