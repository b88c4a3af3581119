"""The autograd functions: save, restore, call. The mathematics is in ``stats.py`` and the backends.

Three rules, each bought with a bug somewhere else:

* the caller's tensors enter as they came (views are made inside), so the graph above a loss stays
  readable, and the node carries ``crossent_call``, which says what was called;
* everything a backward needs goes through ``save_for_backward``, so version checks, saved-tensor hooks
  and checkpointing see it;
* in a backward, grad mode on means ``create_graph``, and a transform or mode may be on that was not in the forward
  (``is_grads_batched``): the gradient is then that of the composite.

There are no ``vmap`` or ``jvp`` static methods: a kernel cannot serve them (``handover.py`` sends such calls to
the composite), and their mere presence breaks ``torch.compile(fullgraph=True)``.
"""

from crossent.autograd.log_softmax import LogSoftmaxCall, RowLogSoftmax
from crossent.autograd.loss import LossCall, RowLoss

__all__ = ["LogSoftmaxCall", "LossCall", "RowLogSoftmax", "RowLoss"]
