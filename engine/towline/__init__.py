"""Towline: takes the image a build made to the registry and the GitOps repositories it belongs in."""
