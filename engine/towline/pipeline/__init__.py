"""A pipeline: its environment, its build and its stages."""
