"""``crossent demo``: the same training twice on real data, with torch's loss and with crossent's.

====================  ==========================================================================
``command.py``        the command line and the order of things
``digits.py``         the data: scikit-learn's bundled handwritten digits
``training.py``       one training run
``identity.py``       CrossEntropyLoss == log_softmax + nll_loss, on one real batch
``checks.py``         what must agree, and how closely
``large.py``          time and memory at 2048 x 32000, each measurement in a fresh process
``tables.py``         what is printed
``plot.py``           what is drawn
====================  ==========================================================================
"""
