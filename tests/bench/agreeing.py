"""What it costs several processes to agree: `torchrun --nproc-per-node 2 -m tests.bench.agreeing` (gloo on this CPU).

Prints microseconds of wall and of CPU time per call, in rank 0.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable

import torch

from engine.train import process_group
from engine.train.agreed_orders import AgreedOrders
from engine.train.gradients import add_up
from engine.train.orders import Orders

ROUNDS = 500


def measure(name: str, call: Callable[[], object], rounds: int = ROUNDS) -> None:
    for _ in range(20):
        call()
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(rounds):
        call()
    wall, cpu = (time.perf_counter() - wall) / rounds, (time.process_time() - cpu) / rounds
    if leads:
        print(f"{name:34s} {1e6 * wall:9.0f} us wall {1e6 * cpu:9.0f} us CPU", flush=True)


world = process_group.join(int(os.environ["WORLD_SIZE"]))
leads = world.leads
orders = AgreedOrders(Orders(), world)
logged = {f"rewards/number {number}": [number / 7] * 4 for number in range(12)}  # of four micro-batches, as DPO logs it
gradients = [torch.ones(1024, 1024) for _ in range(16)]
measure("look for orders", orders.look)
measure("one row of three numbers", lambda: world.table([1.0, 2.0, 3.0]))
measure(
    "what four micro-batches logged", lambda: [json.loads(one) for one in world.gather(json.dumps(logged).encode())]
)
measure("failures and 300 gradients there", lambda: world.most([0.0] * 301))
measure("add up 64 MiB of gradients", lambda: add_up(gradients), 10)
process_group.leave()
