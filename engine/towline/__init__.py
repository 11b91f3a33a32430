"""Towline: pushes a build's image to a registry and writes it into GitOps repositories."""
