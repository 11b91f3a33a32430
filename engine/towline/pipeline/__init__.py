"""What a pipeline knows: its environment and its stages."""
