"""The checks of configuration files by `towline lint`."""
