"""What a run was, read back from its directory: the page about it, and two runs side by side.

It needs neither the model nor the shards, which may be gone.
"""
