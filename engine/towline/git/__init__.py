"""The only package that runs git for writing."""
