"""Who logs in to which registry, and how."""
