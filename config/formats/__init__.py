"""How dates and times look, by language, where that is not as Django has it."""
