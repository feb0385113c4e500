"""The reference of the documentation, made from the code that it describes.

`pages()` gives the Markdown of every page by its path in the site; `hooks.py` hands them to MkDocs.
Nothing of it is kept in git, so nothing of it can be stale. The package is no part of the wheel.
"""

from reference.pages import pages

__all__ = ["pages"]
