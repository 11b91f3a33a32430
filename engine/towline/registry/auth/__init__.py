"""Logins at registries: from which source, for which host, by which token."""
