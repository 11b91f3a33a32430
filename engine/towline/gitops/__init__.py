"""What is written into a GitOps repository, and how it gets there."""
