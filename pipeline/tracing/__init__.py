"""From a token of a shard back to the characters that it was made of: `prepare trace`."""
