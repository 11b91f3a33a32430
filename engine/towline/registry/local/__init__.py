"""Images of this machine: OCI layouts, docker archives, the Docker daemon."""
