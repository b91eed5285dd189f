"""Why a method fits or not, and why one is recommended, in sentences."""

from __future__ import annotations

from engine.plan.plan import MethodPlan
from engine.plan.search import Candidate
from engine.plan.situation import Situation
from engine.plan.words import GIB, count_text, duration_text, size_text

TITLES = {"full": "Full fine-tuning", "lora": "LoRA", "qlora": "QLoRA"}
CARD_SIZES_GB = (8, 12, 16, 24, 32, 40, 48, 80, 96, 141, 192)
PATIENCE_SECONDS = 24 * 3600.0


def fit_reason(here: Situation, best: Candidate, fitting_length: int) -> str:
    """One method's need against free memory; when it does not fit, by how much and what would make it fit."""
    need, free = size_text(best.fit.need_bytes), size_text(best.fit.free_bytes)
    there = f"{free} of RAM that are free" if here.device == "cpu" else f"{free} that are free on the GPU"
    if best.fit.verdict == "fits":
        return f"Needs {need} of the {there}."
    start = f"Needs {need}; {there.replace('that are', 'are')}"
    missing = size_text(best.fit.shortfall_bytes)
    if best.fit.verdict == "tight":
        start += f", which leaves no margin ({missing} short of it)."
    else:
        start += f", {missing} too little with the usual margin."
    return f"{start} {_what_would_fit(here, best, fitting_length)}"


def _what_would_fit(here: Situation, best: Candidate, fitting_length: int) -> str:
    offers = []
    if fitting_length >= 64:
        offers.append(f"a sequence length of {fitting_length}")
    card = next((size for size in CARD_SIZES_GB if size * GIB * 0.975 >= best.fit.required_bytes), None)
    if card is not None:
        offers.append(
            f"{'a GPU with ' if here.device == 'cuda' else ''}{card} GB{'' if here.device == 'cuda' else ' of RAM'}"
        )
    else:
        offers.append("more such GPUs")
    return f"It would fit with {' or '.join(offers)}."


def recommendation_reason(here: Situation, plans: tuple[MethodPlan, ...], chosen: str, by_person: bool) -> str:
    """Why the chosen method, in a sentence or two, with the honest time on a CPU."""
    by_name = {plan.name: plan for plan in plans}
    plan = by_name[chosen]
    if by_person:
        text = f"You chose {TITLES[chosen]}. {plan.reason}"
    elif not plan.fits:
        text = f"Nothing fits here. {TITLES[chosen]} comes nearest. {plan.reason} {_smaller_model(here, plan)}"
    else:
        text = _why(here, by_name, chosen)
    return f"{text} {_cpu_sentence(here, plan)}".strip() if here.gpu is None else text


def _why(here: Situation, plans: dict[str, MethodPlan], chosen: str) -> str:
    plan = plans[chosen]
    needs = f"It needs {size_text(plan.need_bytes)} of {size_text(plan.free_bytes)} free."
    if chosen == "full":
        if here.data is None:
            return (
                f"The documented tier for full fine-tuning is met for a model of this size. {needs} With data at "
                f"hand LoRA may do as well."
            )
        tokens = count_text(here.data.trained_tokens)
        return f"The data trains {tokens} tokens, more than an adapter can hold, and full fine-tuning fits. {needs}"
    if chosen == "lora":
        other = plans["full"]
        why = (
            "trains a small adapter that is large enough for this data"
            if here.data
            else "trains a small adapter beside the unchanged model"
        )
        full = (
            f" Full fine-tuning would need {size_text(other.need_bytes)}." if other.available and not other.fits else ""
        )
        return f"LoRA {why}. {needs}{full}"
    other = plans["lora"]
    if not other.available:
        return f"{other.reason} {needs}"
    return (
        f"LoRA would need {size_text(other.need_bytes)}, which does not fit. QLoRA holds the base model in 4 "
        f"bits and "
        f"trains the same adapter. {needs}"
    )


def _smaller_model(here: Situation, plan: MethodPlan) -> str:
    """About which model size would fit instead, by proportion."""
    share = plan.free_bytes / max(1, plan.free_bytes + plan.shortfall_bytes)
    size = int(here.spec.parameters * share * 0.9)
    return f"A model of about {count_text(size)} parameters would fit." if size >= 1e6 else ""


def _cpu_sentence(here: Situation, plan: MethodPlan) -> str:
    told = "" if here.data is not None else " for 1000 rows"
    time = f"about {duration_text(plan.seconds)}{told}"
    if plan.seconds > PATIENCE_SECONDS:
        return (
            f"There is no GPU: on this processor it would take {time}. Use it to plan, and train on a machine with "
            f"a GPU or with a smaller model."
        )
    return f"There is no GPU, so it trains on the processor: {time}."


def slow_note(here: Situation, plans: tuple[MethodPlan, ...], chosen: str) -> tuple[str, ...]:
    """Remarks on the whole plan: an estimated size, a model whose experts stay in 16 bits, a very long run."""
    notes = [here.spec.note] if here.spec.note else []
    if here.spec.experts:
        notes.append(
            "The experts of this model stay in 16 bits: QLoRA saves little memory here, and the "
            "figures are less certain."
        )
    plan = next(plan for plan in plans if plan.name == chosen)
    if here.gpu is not None and plan.seconds > PATIENCE_SECONDS:
        notes.append(f"This run would take about {duration_text(plan.seconds)}.")
    return tuple(notes)


def shortage_warnings(here: Situation, host_bytes: int, disk: int) -> tuple[str, ...]:
    """RAM or disk that is too small for the run."""
    host, found = here.machine.host, []
    if here.device == "cuda" and host_bytes > host.ram_available_bytes:
        found.append(
            f"Loading needs {size_text(host_bytes)} of RAM; {size_text(host.ram_available_bytes)} are available."
        )
    if disk > host.disk_free_bytes:
        found.append(
            f"The run needs {size_text(disk)} of disk; {size_text(host.disk_free_bytes)} are free in {host.disk_path}."
        )
    return tuple(found)
