"""One file per step, each telling its story in order."""
