"""How fast this CPU multiplies matrices in fp32 and in bf16.

A CPU with bf16 instructions (avx512_bf16, amx_bf16) gains a factor of two or more; one without is slower in bf16.
"""

from __future__ import annotations

import time
from typing import Literal

Precision = Literal["fp32", "bf16"]
PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16")
ROWS, WIDTH, INNER = 1024, 576, 1536  # a small language model's feed-forward layer


def measure_product(precision: Precision, threads: int, seconds: float = 0.5) -> float:
    """Floating-point operations a second of a product of matrices: the best of the runs that fit into `seconds`."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        draw = torch.Generator().manual_seed(1)
        left = torch.randn(ROWS, WIDTH, generator=draw).to(dtype)
        right = torch.randn(INNER, WIDTH, generator=draw).to(dtype).t()
        torch.mm(left, right)  # the first one chooses a kernel
        best, ended = float("inf"), time.perf_counter() + seconds
        while best == float("inf") or time.perf_counter() < ended:
            begun = time.perf_counter()
            torch.mm(left, right)
            best = min(best, time.perf_counter() - begun)
        return 2 * ROWS * WIDTH * INNER / best
    finally:
        torch.set_num_threads(before)


def compare_precisions(threads: int) -> dict[Precision, float]:
    """Operations a second in each precision, on so many threads; takes about a second."""
    return {precision: measure_product(precision, threads) for precision in PRECISIONS}
