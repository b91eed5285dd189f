"""Shares of a step: the same rows as one process learns, in every process the same number of micro-batches."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

from engine.errors import UserError
from engine.runs.nodes import Nodes
from engine.runs.store import Run
from engine.train import launch, rank, surroundings
from engine.train.agreed_orders import AgreedOrders
from engine.train.blank import is_blank, with_blank, without_blank
from engine.train.classes import ClassCollator
from engine.train.evaluation_share import evaluate_share
from engine.train.failures import what_happened
from engine.train.gradients import _buckets, checksum, fill_missing, present
from engine.train.order import StepOrder
from engine.train.orders import Order, Orders
from engine.train.preference_data import BlockOrder, JudgedCollator, PairCollator
from engine.train.pulse import LAUNCHER, Pulse
from engine.train.share_order import ShareOrder
from engine.train.share_setup import refuse_differences
from engine.train.sharing import Sharing


@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=120), st.integers(1, 5), st.integers(1, 3), st.integers(1, 4),
    st.integers(0, 3), st.booleans(),
)  # fmt: skip
def test_the_shares_of_a_step_are_the_micro_batches_of_the_step(
    lengths: list[int], micro: int, each: int, size: int, epoch: int, in_blocks: bool
) -> None:
    rows_per_step = micro * each * size

    def order_of_one() -> Any:
        return BlockOrder(len(lengths), micro, 42) if in_blocks else StepOrder(lengths, rows_per_step, 42)

    whole = order_of_one()
    shares = [ShareOrder(order_of_one(), rows_per_step, micro, rank, size) for rank in range(size)]
    for order in (whole, *shares):
        order.set_epoch(epoch)
    rows, own = list(whole), [list(share) for share in shares]
    assert [len(one) for one in own] == [len(share) for share in shares]
    assert len({-(-len(one) // micro) for one in own}) == 1  # every process has as many micro-batches
    for step in range(-(-len(rows) // rows_per_step)):
        dealt = [batch for one in own for batch in cut(one[step * micro * each :][: micro * each], micro)]
        of_one = cut(rows[step * rows_per_step : (step + 1) * rows_per_step], micro)
        assert sorted(batch for batch in dealt if batch != [len(lengths)]) == sorted(of_one)


def cut(rows: list[int], size: int) -> list[list[int]]:
    return [rows[start : start + size] for start in range(0, len(rows), size)]


TEXT = {"input_ids": [[5, 6, 7]], "labels": [[-100, 6, 7]]}


@pytest.mark.parametrize(
    ("columns", "collator"),
    [
        (TEXT, DataCollatorForLanguageModeling(0)),
        ({**TEXT, "rejected_input_ids": [[5, 8]], "rejected_labels": [[-100, 8]]}, PairCollator(0)),
        ({**TEXT, "KL_input_ids": [[5, 8]], "KL_labels": [[-100, 8]], "label": [True]}, JudgedCollator(0)),
        ({"input_ids": [[5, 6, 7]], "labels": [2]}, ClassCollator(0)),
    ],
)
def test_the_blank_row_of_every_objective_is_known_and_taken_away(columns: dict[str, Any], collator: Any) -> None:
    rows = Dataset.from_dict(columns)
    dataset = with_blank(rows)
    assert dataset[1]["input_ids"] == [5, 5]
    assert [is_blank(collator([dataset[index]])) for index in (0, 1)] == [False, True]
    assert not is_blank(collator([dataset[0], dataset[1]]))
    assert without_blank(dataset).to_dict() == rows.to_dict()


def test_a_share_without_rows_readies_the_scaler_of_fp16() -> None:
    """torch refuses to step with a scaler that was never used, and the blank row may be the first of an engine."""
    scaler = torch.amp.GradScaler("cpu")
    trainer = SimpleNamespace(args=SimpleNamespace(device="cpu"), accelerator=SimpleNamespace(scaler=scaler))
    assert float(Sharing._nothing(trainer)) == 0.0  # type: ignore[arg-type]
    weight = torch.nn.Parameter(torch.ones(2))
    weight.grad = torch.ones(2)
    scaler.unscale_(torch.optim.SGD([weight], 0.1))


def test_gradients_travel_in_buckets_of_one_format(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.train.gradients.BUCKET_BYTES", 40)
    kinds = (torch.float32, torch.float32, torch.float32, torch.bfloat16)
    found = [[len(one) for one in bucket] for bucket in _buckets(torch.zeros(n, dtype=k) for n, k in zip(
        (6, 4, 30, 2), kinds, strict=True))]  # fmt: skip
    assert found == [[6, 4], [30], [2]]


def test_a_gradient_that_another_process_has_is_zero_here_and_nobodys_stays_none() -> None:
    weights = [torch.nn.Parameter(torch.ones(2)) for _ in range(3)]
    weights[0].grad = torch.full((2,), 3.0)
    assert present(weights) == [1.0, 0.0, 0.0]
    assert [gradient.tolist() for gradient in fill_missing(weights, [1, 1, 0])] == [[3.0, 3.0], [0.0, 0.0]]
    assert weights[2].grad is None
    assert checksum(weights) == 6.0


class Threads:
    """A world of threads, for what needs no process group."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._barrier = threading.Barrier(size)
        self._said: list[Any] = [None] * size

    def run(self, work: Callable[[Any], Any]) -> list[Any]:
        found: list[Any] = [None] * self.size

        def one(rank: int) -> None:
            found[rank] = work(Member(self, rank))

        threads = [threading.Thread(target=one, args=(rank,)) for rank in range(self.size)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        return found

    def exchange(self, rank: int, said: Any) -> list[Any]:
        self._said[rank] = said
        self._barrier.wait(10)
        heard = list(self._said)
        self._barrier.wait(10)
        return heard


class Member:
    """One thread of such a world."""

    def __init__(self, world: Threads, rank: int) -> None:
        self.rank, self.size, self.leads, self._world = rank, world.size, rank == 0, world

    def table(self, values: Sequence[float]) -> list[list[float]]:
        return self._world.exchange(self.rank, list(values))

    def most(self, values: Sequence[float]) -> list[float]:
        return [max(column) for column in zip(*self.table(values), strict=True)]

    def gather(self, message: bytes) -> list[bytes]:
        return self._world.exchange(self.rank, message)

    def tell(self, document: Any) -> Any:
        return json.loads(self.gather(json.dumps(document).encode())[0])


def test_an_order_to_one_process_is_obeyed_by_all_at_the_same_look() -> None:
    def work(member: Member) -> list[Any]:
        inbox = Orders()
        orders = AgreedOrders(inbox, member)
        seen = [orders.look()]
        if member.rank == 1:
            inbox.give(Order("save", "a"))
            inbox.give(Order("stop", "b", source="SIGTERM"))
        seen += [orders.waiting, orders.look(), [(one.action, one.identity, one.source) for one in orders.take()]]
        return [*seen, orders.ending is not None, orders.look()]

    expected = [False, False, True, [("save", "a", "request"), ("stop", "b", "SIGTERM")], True, False]
    assert Threads(2).run(work) == [expected, expected]


def test_an_evaluation_in_shares_counts_every_batch_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches do not divide among the processes; one of them computes the last again. The tallies add up to a mean."""
    from engine.train import evaluation

    monkeypatch.setattr(
        evaluation, "_sum_of_losses", lambda _, batch: (float(batch["number"]) ** 2, int(batch["number"]))
    )
    batches = [{"number": torch.tensor(number), "input_ids": torch.ones(1, 1)} for number in (1, 2, 3)]
    asked: list[int] = []

    def work(member: Member) -> Any:
        def between() -> bool:
            asked.append(member.rank)
            return True

        model = SimpleNamespace(training=True, eval=lambda: None, train=lambda _: None)
        fresh = partial(evaluation.TokenTally, model, torch.device("cpu"))
        found = evaluate_share(model, fresh, batches, between, member)
        return (found.loss, found.rows, found.tokens) if found else None

    assert Threads(2).run(work) == [(14 / 6, 3, 6)] * 2
    assert sorted(asked) == [0, 0, 1, 1]


def test_processes_that_read_other_rows_are_refused_in_all_of_them() -> None:
    def work(member: Member) -> str:
        known = {"data": f"rows {member.rank}", "model": "m", "recipe": {"a": 1}, "versions": {}}
        try:
            refuse_differences(known, member)
        except UserError as error:
            return error.what
        return ""

    assert Threads(2).run(work) == ["The processes of the run differ in: data."] * 2


def _failure(exitcode: int, told: dict[str, Any] | None = None) -> Any:
    return SimpleNamespace(local_rank=1, pid=77, exitcode=exitcode, timestamp=1,
                           error_file_data={"user_error": told} if told else {})  # fmt: skip


def test_the_last_word_names_the_process_that_ended_first() -> None:
    state = {"phase": "training", "step": 7}
    killed = what_happened([_failure(-9)], state, 2)
    assert killed.what == "Process 2 of 2 (pid 77) was ended by SIGKILL, and the others with it."
    assert killed.where == "phase: training, step 7"
    told = what_happened([_failure(2, {"what": "No.", "where": "here", "fix": "So.", "exit_code": 2})], state, 2)
    assert (told.what, told.where, told.fix, told.exit_code) == ("No.", "here (process 2 of 2)", "So.", 2)
    assert "code 5" in what_happened([_failure(5)], state, 2).what
    assert "without a word" in what_happened([], state, 2).what


def test_each_process_sees_its_own_gpu_and_a_lone_one_the_emptiest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    monkeypatch.setattr(surroundings, "gpus_by_room", lambda: ["GPU-b", "GPU-a"])
    monkeypatch.delenv(surroundings.GPUS, raising=False)
    surroundings.use_one_gpu()
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "GPU-b"
    monkeypatch.setenv(surroundings.GPUS, "GPU-b,GPU-a")
    surroundings.use_one_gpu(1)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "GPU-a"


def test_the_launcher_gives_each_process_a_gpu_or_says_that_there_are_too_few(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (surroundings.GPUS, rank.DEVICES, rank.NODES, LAUNCHER, "OMP_NUM_THREADS", "GLOO_SOCKET_IFNAME"):
        monkeypatch.setenv(name, "")  # so that what is set here is forgotten after the test
    monkeypatch.setattr(launch, "gpus_by_room", lambda: ["GPU-b", "GPU-a", "GPU-c"])
    launch.prepare(2)
    assert os.environ[surroundings.GPUS] == "GPU-b,GPU-a"
    assert os.environ[LAUNCHER] == str(os.getpid())
    with pytest.raises(UserError, match=r"for 4 GPUs, and 3 can be used") as caught:
        launch.prepare(4)
    assert "--devices 3" in caught.value.fix


def test_torchrun_starts_no_process_twice_and_leaves_our_signals_alone() -> None:
    config, command, words = launch.torchrun(Run(Path("/r/a")), 3, True, "/tmp/x")
    assert (config.nproc_per_node, config.min_nodes, config.max_nodes, config.max_restarts) == (3, 1, 1, 0)
    assert config.signals_to_handle == "SIGQUIT"
    assert [command, *words] == [sys.executable, "-P", "-m", "engine", "rank", "/r/a", "--resume"]
    several, _, _ = launch.torchrun(Run(Path("/r/a")), 1, False, "/tmp/x", Nodes(2, 1, "head", 29000))
    assert (several.min_nodes, several.rdzv_backend, several.rdzv_endpoint) == (2, "static", "head:29000")
    assert several.rdzv_configs["rank"] == 1


def test_the_end_of_an_allocation_stops_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    orders = Orders()
    beat = Pulse(Run(tmp_path), SimpleNamespace(), orders)  # type: ignore[arg-type]
    now = 1_000_000.0
    monkeypatch.setattr("engine.train.pulse.time.time", lambda: now)
    beat.mind_the_end(now + 600)  # a tenth of it is a minute
    beat.stance = "training"
    now += 539
    beat._look_at_the_clock()
    assert orders.ending is None
    now += 2
    beat._look_at_the_clock()
    assert orders.ending is not None
    assert orders.ending.source == "the end of the allocation"
