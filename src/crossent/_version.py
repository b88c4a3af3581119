"""The one place of the version: the build, CHANGELOG.md's test and ``crossent.__version__`` read it here."""

__version__ = "0.1.0"
