"""Vault: login methods, a session with the server, and a client that reads secrets."""
