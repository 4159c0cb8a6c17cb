"""Which samples are worth training on: instruction-following difficulty and its relatives."""
