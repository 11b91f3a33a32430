"""What `towline lint` finds in configuration files."""
