"""Vault: the ways to log in to it, the client that reads its secrets, and those that are files."""
