"""How many rows of logits a device should make at a time: a cost model of the products and of the memory.

For a chunk of c rows of a head with P outputs and H inputs, elements of b bytes and sums of a bytes, on a
device that multiplies F numbers a second (two operations each count as 2) and moves B bytes a second::

    logits      2 c P H / F  &  (c H + P H + c P) b / B           the weight is read once per chunk
    loss        2 c P b / B                                       read and written in place (3 where it is read twice)
    d hidden    2 c P H / F  &  (c P + P H + c H) b / B
    d weight    2 c P H / F  &  ((c P + c H) b + 2 P H a) / B     its sum is read and written once per chunk
    start       4 * LAUNCH_SECONDS

where x & y = sqrt(x^2 + y^2): arithmetic and memory overlap, and neither hides the other wholly.

Few rows make the products wait for memory: the sum of a weight's gradient alone asks for c >= a F / B rows (800 for
float32 sums on an H200). Many rows cost memory, c P b bytes, and gain less and less. So: the fewest rows whose time is
within ENOUGH of the best one among all that fit into WORKSPACE_BYTES; all rows at once where those fit, for then
nothing is summed up.

Only the ratio F / B matters for the choice, so vendors' figures serve; the speeds that products and copies
reach are ``make gpu-bench``'s to measure (none has been measured by this project yet). A ``LinearPlan`` overrides it.
"""

from __future__ import annotations

import functools
import math
from dataclasses import replace
from typing import NamedTuple

import torch

from crossent.linear.plan import LinearPlan

WORKSPACE_BYTES = 512 << 20  # of a chunk's logits, by default
LAUNCH_SECONDS = 5e-6
ENOUGH = 1.02
STEP = 256  # rows: a multiple of every tile of the products
ON_CHIP_BYTES = 200 << 10  # a row that is longer is read a second time by the loss

TERA = 1e12


class Machine(NamedTuple):
    """Operations a second by kind of number, and bytes a second."""

    half: float  # float16 and bfloat16
    tf32: float
    single: float
    double: float
    bytes: float

    def operations(self, dtype: torch.dtype, *, tf32: bool) -> float:
        """Of products in this dtype."""
        if dtype == torch.float64:
            return self.double
        return self.half if dtype.itemsize == 2 else self.tf32 if tf32 else self.single


# Vendors' figures, dense. The names are those that the driver gives; the first that occurs in it counts.
MACHINES = {
    "H200": Machine(990 * TERA, 495 * TERA, 67 * TERA, 67 * TERA, 4.8 * TERA),
    "H100 PCIe": Machine(756 * TERA, 378 * TERA, 51 * TERA, 51 * TERA, 2.0 * TERA),
    "H100": Machine(990 * TERA, 495 * TERA, 67 * TERA, 67 * TERA, 3.35 * TERA),
    "B200": Machine(2250 * TERA, 1100 * TERA, 75 * TERA, 37 * TERA, 8.0 * TERA),
    "A100": Machine(312 * TERA, 156 * TERA, 19.5 * TERA, 19.5 * TERA, 1.9 * TERA),
    "L40S": Machine(362 * TERA, 183 * TERA, 92 * TERA, 1.4 * TERA, 0.86 * TERA),
    "RTX 4090": Machine(165 * TERA, 82 * TERA, 82 * TERA, 1.3 * TERA, 1.0 * TERA),
    "MI300": Machine(1307 * TERA, 653 * TERA, 163 * TERA, 163 * TERA, 5.3 * TERA),
}
UNKNOWN = MACHINES["A100"]  # a ratio of 160 operations to a byte, as most devices have it


class Work(NamedTuple):
    """One evaluation of a linear loss with its gradients."""

    rows: int
    outputs: int  # P
    features: int  # H
    dtype: torch.dtype  # of the products
    accumulate: torch.dtype  # of the sums of the weight's gradient


def machine_named(name: str) -> Machine:
    """The figures of a device by the name that its driver gives, or those of a device in between."""
    return next((known for part, known in MACHINES.items() if part.lower() in name.lower()), UNKNOWN)


@functools.cache
def machine_of(device: torch.device) -> Machine:
    """The figures of a device that is here."""
    if device.type != "cuda" or not torch.cuda.is_available():
        return UNKNOWN
    return machine_named(torch.cuda.get_device_name(device))


def completed(plan: LinearPlan, work: Work, device: torch.device) -> LinearPlan:
    """The plan with the rows that it leaves open; one chunk sums nothing, so its 16-bit product is the gradient."""
    tf32 = torch.get_float32_matmul_precision() != "highest"
    rows = plan.rows or rows_of_a_chunk(work, machine_of(device), tf32=tf32)
    alone = rows >= work.rows and work.dtype.itemsize == 2 and plan.classes is None
    return replace(plan, rows=rows, accumulate=plan.accumulate or (work.dtype if alone else None))


def seconds(work: Work, chunk: int, machine: Machine, *, tf32: bool = False) -> float:
    """The model above for all chunks."""
    P, H, b = work.outputs, work.features, work.dtype.itemsize
    c = max(1, min(chunk, work.rows))
    chunks = -(-work.rows // c)
    c = work.rows / chunks  # they are made equal
    alone = chunks == 1
    product = 2.0 * c * P * H / machine.operations(work.dtype, tf32=tf32)
    with_logits = (c * H + P * H + c * P) * b / machine.bytes
    sums = P * H * b if alone else 2.0 * P * H * work.accumulate.itemsize
    with_sums = ((c * P + c * H) * b + sums) / machine.bytes
    passes = 2 if P * b <= ON_CHIP_BYTES else 3
    loss = passes * c * P * b / machine.bytes
    products = 2 * math.hypot(product, with_logits) + math.hypot(product, with_sums)
    return chunks * (products + loss + 4 * LAUNCH_SECONDS)


def rows_of_a_chunk(work: Work, machine: Machine, *, workspace: int = WORKSPACE_BYTES, tf32: bool = False) -> int:
    """The fewest rows within ENOUGH of the best time, among those whose logits fit into ``workspace`` bytes."""
    room = workspace // max(1, work.outputs * work.dtype.itemsize)
    if work.rows <= room:
        return max(1, work.rows)
    choices = list(range(STEP, room + 1, STEP)) or [max(1, room)]
    times = {chunk: seconds(work, chunk, machine, tf32=tf32) for chunk in choices}
    best = min(times.values())
    return next(chunk for chunk in choices if times[chunk] <= ENOUGH * best)
