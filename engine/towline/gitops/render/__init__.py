"""Renderer processes: Helm and Jinja run apart from the engine."""
