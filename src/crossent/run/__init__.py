"""``crossent run``: a program, run as plain Python would run it, with its losses exchanged and counted.

========================  ====================================================================
``command.py``            the command line; what happens before and after the program
``launch.py``             the program itself: ``__main__``, ``sys.argv``, tracebacks
``losses.py``             which losses stand in ``torch.nn.functional``, from torch's import on
``on_import.py``          how that moment is caught
``torch_counted.py``      torch's own losses, counted (``--losses torch``)
``counting.py``           the counter
``children.py``           processes that the program starts
``_spawned.py``           what a spawned child does first
``summary.py``            the line at the end, and the JSON
========================  ====================================================================
"""
