"""The run's own trainers on random models, made in this process with rows of one length."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from engine.data.rendered import Rendered
from engine.plan.memory import TrainingShape
from tests.engine.train.material import DEMO_MODEL

ROWS, TOKENS = 2, 128


def rows_of_one_length(tokens: int) -> list[Rendered]:
    """Rows of which every token but the first is learned, each with a rejected answer."""

    def made(number: int, rejected: Rendered | None = None) -> Rendered:
        ids = [(number * 7 + place) % 1000 + 2 for place in range(tokens)]
        return Rendered("", ids, [-100, *ids[1:]], [], 0, 0, rejected=rejected, good=number % 2 > 0)

    return [made(number, made(number + 50)) for number in range(2 * ROWS)]


def arguments_of(shape: TrainingShape, folder: Path, **more: Any) -> Any:
    from engine.recipe import Answer, Recipe
    from engine.train.arguments import make_arguments
    from engine.train.schedule import Schedule

    values = {
        "model.source": "m", "data.source": "d", "method.name": shape.method, "method.objective": shape.objective,
        "method.reference": shape.reference, "training.micro_batch_size": ROWS, "training.precision": shape.precision,
        "training.gradient_accumulation_steps": 1, "training.sequence_length": TOKENS,
        "training.gradient_checkpointing": shape.gradient_checkpointing, "training.optimizer": shape.optimizer,
    }  # fmt: skip
    recipe = Recipe.from_answers({key: Answer(value, "you", "") for key, value in values.items()})
    schedule = Schedule(**{**dict.fromkeys(Schedule.__dataclass_fields__, 1), "total_steps": 2, "warmup_steps": 0})
    arguments = make_arguments(recipe, schedule, torch.device("cpu"), folder)
    for name, value in more.items():
        setattr(arguments, name, value)
    return arguments


def model_of(config: dict[str, Any], shape: TrainingShape) -> Any:
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSequenceClassification

    classify = shape.objective == "classify"
    more = {"num_labels": 16, "pad_token_id": 0} if classify else {}
    kind = AutoModelForSequenceClassification if classify else AutoModelForCausalLM
    dtype = torch.float32 if shape.precision == "fp32" else torch.bfloat16
    settings = AutoConfig.for_model(**config, **more)
    model = kind.from_config(settings, dtype=dtype, attn_implementation="sdpa")
    if shape.method == "full":
        return model
    from peft import LoraConfig, get_peft_model

    task = "SEQ_CLS" if classify else "CAUSAL_LM"
    return get_peft_model(model, LoraConfig(r=shape.rank, target_modules="all-linear", task_type=task))


def trainer_of(config: dict[str, Any], shape: TrainingShape, folder: Path, **more: Any) -> Any:
    """The run's own trainer on a random model."""
    from engine.train import classes, load, odds_ratio, preference, preference_data
    from engine.train.trainer import RunTrainer

    rows, args = rows_of_one_length(TOKENS), arguments_of(shape, folder, **more)
    shared = {"model": model_of(config, shape), "args": args, "processing_class": load.load_tokenizer(DEMO_MODEL)}
    if shape.objective == "classify":
        from datasets import Dataset

        data = Dataset.from_dict({"input_ids": [row.input_ids for row in rows], "labels": [0, 1, 2, 3]})
        return classes.ClassTrainer(**shared, train_dataset=data, data_collator=classes.ClassCollator(0))
    if shape.objective == "sft":
        from datasets import Dataset

        columns = {"input_ids": [row.input_ids for row in rows], "labels": [row.labels for row in rows]}
        return RunTrainer(**shared, train_dataset=Dataset.from_dict(columns))
    limits = type("Limits", (), {"sequence_length": TOKENS, "micro_batch_size": ROWS})
    if shape.objective == "kto":
        data, collator = preference_data.make_judged(rows, limits, 1), preference_data.JudgedCollator(0)  # type: ignore[arg-type]
        names: tuple[str, ...] = preference_data.JUDGED_REFERENCES
    else:
        data, collator = preference_data.make_pairs(rows, limits), preference_data.PairCollator(0)  # type: ignore[arg-type]
        names = preference_data.PAIR_REFERENCES
    kinds = {"dpo": preference.DpoTrainer, "kto": preference.KtoTrainer, "orpo": odds_ratio.OrpoTrainer}
    if shape.objective != "orpo":
        held = shape.method == "full" and shape.reference == "beside"
        shared["ref_model"] = model_of(config, shape).eval().requires_grad_(False) if held else None
    trainer = kinds[shape.objective](**shared, train_dataset=data, data_collator=collator)
    if shape.objective != "orpo" and shape.reference == "precomputed":
        trainer.take_references({name: [-5.0] * len(rows) for name in names})
    return trainer
