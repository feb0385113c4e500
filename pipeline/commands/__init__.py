"""The commands of `prepare` that have no package of their own, and what all of them share."""
