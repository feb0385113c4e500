"""Erasure: documents leave a finished output, and neither a rerun nor a copy brings them back."""
