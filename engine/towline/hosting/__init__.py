"""Clients of code hosts and of Jenkins; each is loaded only if a step needs it."""
