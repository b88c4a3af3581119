"""Run by its path in a child that ``multiprocessing`` spawned, before the child's main module.

At that moment ``sys.path`` is not the parent's yet, so crossent is looked up where the parent had it.
A child that cannot be counted must work all the same: it says so and goes on.
"""

from __future__ import annotations

import os
import sys
from typing import Any

if __name__ == "crossent.run.spawned":
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    sys.path.append(root)
    try:
        from crossent.run import children

        arguments: dict[str, Any] = globals()["join_arguments"]  # put there by children._Joining
        children.join(**arguments)
    except Exception as error:
        print(f"crossent run: losses of process {os.getpid()} are not counted: {error!r}", file=sys.stderr)
    finally:
        sys.path.remove(root)
