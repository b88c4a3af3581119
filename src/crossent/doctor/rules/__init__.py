"""One file per rule, and ``table.py``.

A rule's docstring is its page. Its ``Bad`` and ``Good`` examples are tests: under the doctor, the bad one
gives a finding at the line marked ``# <code>``, the good one gives none. Its functions return
:class:`~crossent.doctor.finding.Found` or None:

``from_graph(record)``      from the autograd graph alone
``from_values(record)``     from sampled rows, where the graph did not tell
``from_error(record)``      of a call that torch refused
``from_<event>(facts)``     of a backward, a batch, an accumulation, ...
"""
