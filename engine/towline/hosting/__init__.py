"""Thin clients of code hosts, each loaded only where it is chosen."""
