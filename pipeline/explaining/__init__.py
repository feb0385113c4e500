"""`prepare explain` and `prepare duplicates`: what a finished output tells of its documents."""
