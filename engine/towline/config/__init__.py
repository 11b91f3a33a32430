"""Configuration: layers, fold, schema, checked result."""
