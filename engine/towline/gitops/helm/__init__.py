"""Charts: which of their values hold an image, and what they render."""
