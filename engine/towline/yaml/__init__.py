"""YAML with positions: read, edited in place, and proved to have changed nothing else."""
