"""``python -m crossent`` is the command ``crossent``."""

from crossent.cli import app

if __name__ == "__main__":
    app(prog_name="crossent")
