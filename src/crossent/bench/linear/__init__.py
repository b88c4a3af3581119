"""``crossent bench linear``: losses of a linear head beside the matrix products that nobody can avoid.

``cases.py`` shapes of real heads; ``providers.py`` who takes part; ``child.py`` one part of a case in a process of
its own; ``run.py`` one process after the other; ``report.py`` table and plot.
"""
