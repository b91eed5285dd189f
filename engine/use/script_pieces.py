"""Which pieces make up the standalone script of an objective, before its values are filled in."""

from __future__ import annotations

from engine.recipe import Recipe
from engine.use import script_labels as labels
from engine.use import script_objectives as objectives
from engine.use import script_text as text

TRAINERS = {"dpo": ("trl", "DPO"), "kto": ("trl", "KTO"), "orpo": ("trl.experimental.orpo", "ORPO")}


def script_of(recipe: Recipe) -> str:
    """The script of this recipe's objective with `@NAME@` where values belong."""
    objective = recipe.method.objective
    if objective == "sft":
        return _joined([text.TOP, text.READ, text.MODEL, text.SUPERVISED, text.FINISH], {
            "IMPORTS": text.SUPERVISED_IMPORTS, "ROWS": text.SUPERVISED_ROWS, "AUTO": "AutoModelForCausalLM",
            "MORE": "PACKING = @PACKING@\n",
        })  # fmt: skip
    if objective == "classify":
        return _joined([text.TOP, objectives.ORDER, text.MODEL, labels.LABELS, text.FINISH], {
            "IMPORTS": labels.LABEL_IMPORTS, "ROWS": labels.NAMED_ROWS, "MORE": "LABELS = @LABELS@\n",
            "AUTO": "AutoModelForSequenceClassification", "HEAD": LABEL_HEAD, "TASK": '"SEQ_CLS"',
        })  # fmt: skip
    return _preferences(recipe, objective)


LABEL_HEAD = """
        num_labels=len(LABELS),
        id2label=dict(enumerate(LABELS)),
        label2id={name: number for number, name in enumerate(LABELS)},"""


def _preferences(recipe: Recipe, objective: str) -> str:
    module, name = TRAINERS[objective]
    rows, reading = (objectives.JUDGED_ROWS, objectives.JUDGED) if objective == "kto" else (
        objectives.PAIR_ROWS, objectives.PAIRS)  # fmt: skip
    learner = objectives.LEARNER + (objectives.ODDS if objective == "orpo" else "")
    pieces = [text.TOP, objectives.ORDER, objectives.TOKENS, reading, text.MODEL, learner, objectives.PREFERENCE_MAIN]
    return _joined([*pieces, text.FINISH], {
        "IMPORTS": objectives.PREFERENCE_IMPORTS, "ROWS": rows, "AUTO": "AutoModelForCausalLM", "FROM": module,
        "CONFIG": f"{name}Config", "TRAINER": f"{name}Trainer", "OWN": _own_settings(recipe),
        "BLOCK": "@MICRO_BATCH@" if objective == "kto" else "0", "REFERENCE": _reference(recipe),
    })  # fmt: skip


def _own_settings(recipe: Recipe) -> str:
    """What only this objective's configuration has."""
    objective, lines = recipe.method.objective, []
    if objective == "orpo":
        return "max_length=SEQUENCE_LENGTH,\n        neftune_noise_alpha=@NOISE@,"
    lines.append("max_length=None,  # the rows are cut already")
    lines.append('loss_type="kto",' if objective == "kto" else 'loss_type=["sigmoid"],')
    if objective == "kto":
        lines.append("desirable_weight=@DESIRABLE@,  # good and bad rows count the same in sum unless it was chosen")
    if recipe.method.reference == "precomputed":
        lines.append("precompute_ref_log_probs=True,")
    lines += ["neftune_noise_alpha=@NOISE@,", "activation_offloading=@OFFLOADING@,"]
    return "\n        ".join(lines)


def _reference(recipe: Recipe) -> str:
    """Of a full fine-tune the second copy; else TRL takes the base with the adapter off."""
    held = recipe.method.name == "full" and recipe.method.objective != "orpo" and recipe.method.reference == "beside"
    return "\n        ref_model=load_base()," if held else ""


def _joined(pieces: list[str], parts: dict[str, str]) -> str:
    """One text, with pieces put in where others name them."""
    usual = {"TOKENIZER": text.TOKENIZER, "ARGUMENTS": text.ARGUMENTS, "MORE": "", "HEAD": "", "TASK": '"CAUSAL_LM"'}
    joined = "".join(pieces)
    for name, part in {**usual, **parts}.items():
        joined = joined.replace(f"@{name}@", part)
    return joined.replace("\n\n\nON_CPU", "\n\nON_CPU")
