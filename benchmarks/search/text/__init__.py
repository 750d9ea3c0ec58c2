"""The text stage, beside its peer."""
