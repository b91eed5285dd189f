"""How many tokens a row costs: cut at the sequence length, and padded to the longest of its micro-batch."""

from __future__ import annotations

import math
from statistics import NormalDist

from engine.plan.budget import Work
from engine.plan.data_facts import is_raw_text
from engine.plan.memory import TrainingShape
from engine.plan.situation import Situation


def padded_tokens(here: Situation, work: Work, shape: TrainingShape) -> float:
    """Tokens per row with padding, when the rows of an optimizer step are sorted by length before they are divided.

    For lengths spread evenly over mean +- h, the longest of m neighbours among w sorted rows lies h (m - 1) / (w + 1)
    above their mean, and the 95th percentile 0.9 h above the mean of all. On 948 Alpaca rows (16 a step) it gives
    1.37, 1.17, 1.07 and 1.02 times the real tokens for micro-batches of 16, 8, 4, 2; counted: 1.50, 1.27, 1.12, 1.04.
    """
    if is_raw_text(here.data):  # its pieces are nearly all of one length
        return min(work.mean_tokens, float(shape.sequence_length))
    mean = cut_mean(work.mean_tokens, here.data.p95 if here.data else 0, shape.sequence_length)
    if here.data is None or here.data.rows == 0:
        return mean
    half_width = max(0.0, min(here.data.p95, shape.sequence_length) - mean) / 0.9
    micro = shape.micro_batch_size
    return mean + half_width * (micro - 1) / (micro * shape.accumulation + 1)


def cut_mean(mean: float, p95: int, length: int) -> float:
    """The mean number of tokens after rows are cut at `length`, taking lengths as log-normal with this mean and 95th
    percentile. 948 Alpaca rows of 512 tokens on average, cut at 512: 371 by this, 342 counted."""
    if length <= 0 or p95 <= mean:
        return min(mean, float(length))
    normal = NormalDist()
    z95 = normal.inv_cdf(0.95)
    spread = z95 - math.sqrt(max(0.0, z95 * z95 - 2 * math.log(p95 / mean)))  # ln p95 = ln mean - s^2/2 + z95 s
    z = (math.log(length / mean) + spread * spread / 2) / spread
    return mean * normal.cdf(z - spread) + length * (1 - normal.cdf(z))
