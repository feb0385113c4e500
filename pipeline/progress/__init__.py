"""Progress of a run: a live panel on a terminal, lines in a log, JSON lines for machines.

Counts come from the records that finished work items wrote, so that a run which goes on after an
interruption shows those of all of it. Everything is written to stderr, but JSON lines, which are
stdout's.
"""

from pipeline.progress.reporter import Advance, Progress, Style, View

__all__ = ["Advance", "Progress", "Style", "View"]
