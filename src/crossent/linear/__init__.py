"""Linear cross entropy: the loss of a linear head, ``cross_entropy(input @ linear_weight.T + bias, target)``,
without its logits.

The idea: rows of logits are independent, so a few hundred of them at a time are enough. Each chunk of
rows is made by one matrix product into a workspace, turned into its loss and its gradient *in place* by
the row kernels that ``cross_entropy`` uses, and consumed by two more products::

    logits = hidden[rows] @ W.T  ->  d logits (same memory)  ->  d hidden[rows] = d logits @ W
                                                             ->  d W += d logits.T @ hidden[rows]

What is where: ``plan.py`` how many rows, and what fits a memory budget; ``head.py`` from a call to rows;
``gemm.py`` the three products, ``target_column.py`` a part of them in float32, ``filtering.py`` of fewer classes,
``counted.py`` of fewer rows;
``walks.py`` the loops over chunks of rows, ``slabs.py`` over slabs of classes; ``evaluation.py`` one call with
its rows; ``autograd.py`` save, restore, call; ``composite.py`` the same as differentiable operations; ``call.py`` the
pipe; ``functional.py`` and ``modules.py`` what users see.
"""
