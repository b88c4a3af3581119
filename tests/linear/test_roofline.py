"""The cost model of a device: what it must say of shapes whose answer is known beforehand."""

from __future__ import annotations

import pytest
import torch

from crossent import LinearPlan
from crossent.linear import roofline
from crossent.linear.roofline import MACHINES, UNKNOWN, WORKSPACE_BYTES, Work

BF16, F32 = torch.bfloat16, torch.float32
H200 = MACHINES["H200"]
HEADS = [(4096, 4096, 128256), (16384, 2048, 131072), (8192, 2304, 256000), (8192, 4096, 262144), (65536, 768, 50257)]


def work(rows: int, features: int, outputs: int, dtype: torch.dtype = BF16) -> Work:
    return Work(rows, outputs, features, dtype, F32)


@pytest.mark.parametrize("shape", HEADS, ids=str)
@pytest.mark.parametrize("name", MACHINES)
def test_the_choice_fits_and_is_nearly_the_best(shape: tuple[int, int, int], name: str) -> None:
    known, machine = work(*shape), MACHINES[name]
    rows = roofline.rows_of_a_chunk(known, machine)
    room = WORKSPACE_BYTES // (2 * known.outputs)
    assert 1 <= rows <= room and rows % roofline.STEP == 0
    every = [roofline.seconds(known, chunk, machine) for chunk in range(1, room + 1)]
    assert roofline.seconds(known, rows, machine) <= 1.03 * min(every)


@pytest.mark.parametrize("shape", HEADS, ids=str)
def test_chunks_on_an_h200_are_as_large_as_the_ridge_asks(shape: tuple[int, int, int]) -> None:
    """Beyond 4 bytes * F / B rows the float32 sums of the weight's gradient are hidden behind the product."""
    ridge = 4 * H200.half / H200.bytes
    rows = roofline.rows_of_a_chunk(work(*shape), H200)
    assert ridge <= rows <= 8192
    small, chosen = (roofline.seconds(work(*shape), chunk, H200) for chunk in (256, rows))
    assert small > 1.5 * chosen, "the chunks of a memory-floor rule (peers.md, part 6) are bound by memory"


def test_time_is_that_of_the_products_where_the_hidden_size_is_large() -> None:
    """4096 x 4096 x 128256: 6 N D V operations take 13.1 ms at 990 TFLOP/s; memory adds a quarter at the most."""
    known = work(4096, 4096, 128256)
    floor = 6 * 4096 * 4096 * 128256 / H200.half
    assert floor == pytest.approx(13.06e-3, rel=0.01)
    chosen = roofline.seconds(known, roofline.rows_of_a_chunk(known, H200), H200)
    assert floor < chosen < 1.25 * floor


def test_everything_at_once_where_it_fits() -> None:
    known = work(1000, 512, 32000)
    assert roofline.rows_of_a_chunk(known, H200) == 1000
    one, two = (roofline.seconds(known, chunk, H200) for chunk in (1000, 500))
    assert one < two


@pytest.mark.parametrize("shape", [(0, 4, 9), (1, 1, 1), (3, 0, 7), (10**6, 1, 10**9)], ids=str)
def test_edges(shape: tuple[int, int, int]) -> None:
    assert roofline.rows_of_a_chunk(work(*shape), UNKNOWN) >= 1


def test_what_a_plan_leaves_open() -> None:
    device, large, small = torch.device("xpu"), work(8192, 2304, 256000), work(100, 64, 1000)
    chosen = roofline.completed(LinearPlan(), large, device)
    assert chosen.rows == roofline.rows_of_a_chunk(large, UNKNOWN) and chosen.accumulate is None
    assert roofline.completed(LinearPlan(), small, device) == LinearPlan(rows=100, accumulate=BF16)
    for said in (LinearPlan(rows=7), LinearPlan(rows=200, accumulate=F32)):
        assert roofline.completed(said, small, device) == said


def test_numbers_by_dtype() -> None:
    assert H200.operations(torch.float16, tf32=False) == H200.half
    assert H200.operations(F32, tf32=False) < H200.operations(F32, tf32=True) < H200.half
    assert H200.operations(torch.float64, tf32=True) == H200.double
    slow, fast = (roofline.seconds(work(4096, 1024, 50257, F32), 1024, H200, tf32=tf32) for tf32 in (False, True))
    assert fast < slow


def test_names_of_drivers() -> None:
    assert roofline.machine_named("NVIDIA H200") is H200
    assert roofline.machine_named("NVIDIA H100 80GB HBM3") is MACHINES["H100"]
    assert roofline.machine_named("NVIDIA H100 PCIe") is MACHINES["H100 PCIe"]
    assert roofline.machine_named("NVIDIA A100-SXM4-80GB") is MACHINES["A100"]
    assert roofline.machine_named("a device of next year") is UNKNOWN
    assert roofline.machine_of(torch.device("xpu")) is UNKNOWN
