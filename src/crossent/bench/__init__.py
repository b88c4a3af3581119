"""``crossent bench``: what a loss costs, beside torch's own ways to compute it and beside the speed of memory.

Read in this order: ``cases.py`` (what is measured, with the bytes it must move), ``providers.py`` (who is measured),
``child.py`` (one case in a process of its own: results are compared first, then timed in turns), ``run.py`` (the
processes, one after the other, into one file that grows), ``promises.py`` and ``check.py`` (what was promised, and
whether it came out).
"""
