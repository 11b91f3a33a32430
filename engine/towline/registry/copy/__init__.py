"""A copy of images: survey, plan, transfer, proof."""
