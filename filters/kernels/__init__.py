"""Compiled loops on Arrow buffers, and the tables they read."""
