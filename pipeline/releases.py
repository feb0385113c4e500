"""Releases of libraries: another one may decide otherwise, so hashed settings name them."""

from importlib.metadata import PackageNotFoundError, version


def release(distribution: str) -> str:
    """Name and version of a distribution; the name alone where it is not installed, as of an entry
    point that no distribution claims."""
    try:
        return f"{distribution} {version(distribution)}"
    except PackageNotFoundError:
        return distribution
