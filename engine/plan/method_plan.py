"""One method's best settings here, whether they fit, and what gives way where they do not."""

from __future__ import annotations

import math
from dataclasses import replace

from engine.machine.abilities import why_not
from engine.models.spec import ModelSpec
from engine.plan import settings
from engine.plan.backend import backend_sentence, with_backend
from engine.plan.budget import Work, disk_bytes, host_memory_bytes
from engine.plan.explain import fit_reason, shortage_warnings
from engine.plan.method_answers import fixed_answers, found_answers
from engine.plan.objective import expert_answers, objective_answers
from engine.plan.plan import MethodPlan
from engine.plan.search import Candidate, longest_that_fits, search
from engine.plan.settings import recommended
from engine.plan.situation import Situation
from engine.plan.starting_shape import starting_shape
from engine.recipe import Answer


def plan_method(here: Situation, method: str, wanted: str | None) -> MethodPlan:
    """One method's best settings here, whether they fit, and why each is as it is."""
    held_out = here.pick("evaluation.held_out_rows", _held_out(here))
    epochs = here.pick("training.epochs", settings.epochs(here.data, str(here.objective.value)))
    length = starting_shape(here, method)[0].sequence_length
    work = here.work(float(str(epochs.value)), int(str(held_out.value)), length)
    best, answers = with_backend(
        here, _best(here, method, work), length, lambda backend: _best(here, method, work, backend)
    )
    steps = total_steps(here, best, work.rows, work.epochs)
    answers |= fixed_answers(here, method, best, steps, wanted)
    answers |= {"evaluation.held_out_rows": held_out, "training.epochs": epochs}
    answers |= objective_answers(here, method, best) | expert_answers(here)
    return _judged(here, method, best, answers, work)


def _best(here: Situation, method: str, work: Work, backend: str = "") -> tuple[Candidate, dict[str, Answer]]:
    """The best candidate of the search, after rank and length gave way where they may; with the answers so far.
    `backend` is another than the person's or the usual one."""
    base, answers = starting_shape(here, method)
    base = replace(base, backend=backend or base.backend)
    effective, why_effective = _effective_batch(here, method, base.sequence_length)
    best = search(here, method, base, effective, work)
    if not here.is_set("method.rank"):
        best = _smaller_rank(here, method, best, effective, answers, work)
    if here.data is None and not here.is_set("training.sequence_length"):
        best = _shorter_without_data(here, method, best, effective, answers, work)
    return best, answers | found_answers(here, best, why_effective)


def _judged(here: Situation, method: str, best: Candidate, answers: dict[str, Answer], work: Work) -> MethodPlan:
    """The plan of these answers: whether it fits, and what it takes of GPU, RAM, disk and time."""
    unavailable = why_unavailable(here.spec, here, method)
    fitting_length = 0 if best.fit.verdict == "fits" else longest_that_fits(here, best, work)
    reason = fit_reason(here, best, fitting_length) + backend_sentence(answers.get("method.backend"))
    host = host_memory_bytes(here.spec, best.shape, here.device, best.memory.total_bytes)
    keep = int(str(answers["checkpoints.keep"].value))
    disk = disk_bytes(here.spec, best.shape, here.files.download_bytes, keep)
    return MethodPlan(
        name=method, fits=best.fit.verdict == "fits" and not unavailable, shortfall_bytes=best.fit.shortfall_bytes,
        reason=unavailable or reason, answers=answers, memory=best.memory,
        host_memory_bytes=host, disk_bytes=disk, seconds=best.seconds, available=not unavailable,
        verdict=best.fit.verdict, free_bytes=best.fit.free_bytes, warnings=shortage_warnings(here, host, disk),
        shape=best.shape, process_bytes=here.process_bytes,
    )  # fmt: skip


def _held_out(here: Situation) -> Answer:
    """Rows to hold out: of the share that was asked for, else what suits the data."""
    share = here.overrides.get("evaluation.held_out_share")
    if share is None or not share.value:
        return settings.held_out_rows(here.data)
    rows = round(float(str(share.value)) * here.data.rows) if here.data is not None else 0
    return recommended(rows, f"{float(str(share.value)):.1%} of the rows, as you set it.")


def why_unavailable(spec: ModelSpec, here: Situation, method: str) -> str:
    """Why a method cannot be used here at all, "" when it can."""
    if spec.quantization and method != "qlora":
        return "The weights are already in 4 bits; only an adapter can be trained on them (QLoRA)."
    return why_not(here.gpu.kind if here.gpu is not None else "cpu", method)


def total_steps(here: Situation, candidate: Candidate, rows: int, epochs: float) -> int:
    """Optimizer steps of the run, 0 when no data was measured."""
    limit = int(str(here.pick("training.max_steps", recommended(0, "")).value))
    if here.data is None:
        return limit
    effective = candidate.shape.micro_batch_size * candidate.shape.accumulation
    steps = math.ceil(math.ceil(rows / effective) * epochs)
    return min(steps, limit) if limit else steps


def _effective_batch(here: Situation, method: str, length: int) -> tuple[int, str]:
    size, why = settings.effective_batch(method, here.data, length)
    micro, accumulation = (
        here.overrides.get(f"training.{key}") for key in ("micro_batch_size", "gradient_accumulation_steps")
    )
    if micro is not None and accumulation is not None:
        return int(str(micro.value)) * int(str(accumulation.value)), "As you set it."
    if micro is not None:
        return max(size, int(str(micro.value))), why
    return size, why


def _smaller_rank(
    here: Situation, method: str, best: Candidate, effective: int, answers: dict[str, Answer], work: Work
) -> Candidate:
    """A rank that the data asks for but memory does not allow is halved, down to the usual one."""
    smaller = best
    while method != "full" and smaller.fit.verdict != "fits" and smaller.shape.rank > settings.SMALLEST_RANK:
        base = replace(smaller.shape, rank=smaller.shape.rank // 2)
        smaller = search(here, method, base, effective, work)
    if smaller.fit.verdict == "fits" and smaller is not best:
        why = f"The largest that fits; the data could use {best.shape.rank}."
        answers["method.rank"] = recommended(smaller.shape.rank, why)
        return smaller
    return best


def _shorter_without_data(
    here: Situation, method: str, best: Candidate, effective: int, answers: dict[str, Answer], assumed: Work
) -> Candidate:
    """Without data nothing is cut by a shorter sequence, so the length gives way before the method does."""
    while best.fit.verdict != "fits" and best.shape.sequence_length > settings.SHORTEST_LENGTH:
        base = replace(best.shape, sequence_length=best.shape.sequence_length // 2)
        best = search(here, method, base, effective, assumed)
        answers["training.sequence_length"] = recommended(
            base.sequence_length, "No data was measured yet; this is the longest (by halves) that fits."
        )
    if best.fit.verdict != "fits":  # no length fits: show the need at the length that was asked for
        base = replace(best.shape, sequence_length=min(settings.DEFAULT_LENGTH, here.spec.context_length))
        answers["training.sequence_length"] = settings.sequence_length(here.spec, None)
        best = search(here, method, base, effective, assumed)
    return best
