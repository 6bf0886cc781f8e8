"""What people and CI run from a checkout; nothing of it is in an image."""
