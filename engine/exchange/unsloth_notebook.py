"""The settings of an Unsloth notebook or script, read from its calls without running it, into recipe keys."""

from __future__ import annotations

import ast
import json
from typing import Any

from engine.errors import UserError
from engine.exchange.sheet import Carried, Sheet, says_something
from engine.exchange.trl_command import carry as carry_trl

CALLS = {"from_pretrained": "model", "get_peft_model": "adapter", "load_dataset": "data", "SFTConfig": "trainer",
         "TrainingArguments": "trainer", "DPOConfig": "trainer", "SFTTrainer": "trainer", "DPOTrainer": "trainer",
         "KTOConfig": "trainer", "ORPOConfig": "trainer"}  # fmt: skip
RENAMED = {"model_name": "model_name_or_path", "r": "lora_r", "target_modules": "lora_target_modules",
           "use_gradient_checkpointing": "gradient_checkpointing", "max_seq_length": "max_length",
           "random_state": "seed"}  # fmt: skip
OBJECTS = ("model", "tokenizer", "train_dataset", "eval_dataset", "args", "processing_class", "data_collator",
           "formatting_func", "callbacks", "peft_config", "ref_model", "dtype", "token", "device_map")  # fmt: skip
"""Arguments that hand over objects of the notebook and are no settings."""
DATA = {"split": "dataset_train_split", "name": "dataset_config"}
"""Arguments of load_dataset -> options of TRL."""


def source_of(text: str, where: str = "the notebook") -> str:
    """The Python of a notebook (.ipynb) or of a script; lines for the shell are left out."""
    if text.lstrip().startswith("{"):
        try:
            cells = json.loads(text)["cells"]
            lines = [line for cell in cells if cell.get("cell_type") == "code" for line in [*cell["source"], "\n"]]
        except (ValueError, KeyError, TypeError) as error:
            what = "The notebook cannot be read: it has no list of cells."
            raise UserError(what, where, "Give an .ipynb file or a Python script.") from error
        text = "".join(lines)
    return "\n".join("" if line.lstrip().startswith(("!", "%")) else line for line in text.splitlines())


def settings_of(text: str, where: str = "the notebook") -> dict[str, Any]:
    """The settings that the calls of an Unsloth script are given, by the names of TRL. Raises UserError.

    Names that stand for a plain value (`max_seq_length = 2048`) are looked up; what is computed is named as such.
    """
    try:
        tree = ast.parse(source_of(text, where))
    except SyntaxError as error:
        what = "This is no Python that can be read."
        raise UserError(what, f"{where}, line {error.lineno}", "Give an .ipynb or .py file.") from error
    names = {target.id: node.value for node in ast.walk(tree) if isinstance(node, ast.Assign)
             for target in node.targets if isinstance(target, ast.Name)}  # fmt: skip
    found: dict[str, Any] = {}
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        kind = CALLS.get(_name(call.func))
        if kind is None or (kind == "model" and "FastLanguageModel" not in ast.unparse(call.func)):
            continue
        if kind == "data" and call.args:
            found.setdefault("dataset_name", _value(call.args[0], names))
        for argument in call.keywords:
            if argument.arg is None or argument.arg in OBJECTS:
                continue
            own = DATA if kind == "data" else RENAMED
            key = own.get(argument.arg, argument.arg)
            value = _value(argument.value, names)
            if key not in found or key == "seed":
                found[key] = value
        if _name(call.func)[:3].lower() in ("dpo", "kto", "orp"):
            found["script"] = {"dpo": "dpo", "kto": "kto", "orp": "orpo"}[_name(call.func)[:3].lower()]
    return found


def carry(text: str, where: str = "the notebook") -> Carried:
    """An Unsloth notebook's settings as recipe keys. Raises UserError when it holds none."""
    found = settings_of(text, where)
    if "model_name_or_path" not in found:
        fix = "Give a notebook that calls FastLanguageModel.from_pretrained."
        raise UserError("No settings of Unsloth were found.", where, fix)
    computed = {key: value for key, value in found.items() if isinstance(value, Computed)}
    found = {key: value for key, value in found.items() if key not in computed}
    if found.get("gradient_checkpointing") == "unsloth":
        found["gradient_checkpointing"] = True
    if says_something(found.get("lora_r")):
        found["use_peft"] = True
    found.pop("full_finetuning", None)
    if found.pop("bias", "none") != "none":
        computed["bias"] = Computed("bias terms are not trained here")
    carried = carry_trl(found, "Unsloth")
    sheet = Sheet("Unsloth", {})
    sheet.carried = carried
    for key, value in computed.items():
        if key not in ("fp16", "bf16"):
            sheet.leave(key, f"It is computed in the notebook: {value}.")
        else:
            sheet.needless(key, "The number format is chosen for the device here too.")
    return carried


class Computed(str):
    """Code whose value is only known when it runs."""


def _name(function: ast.expr) -> str:
    return (
        function.attr if isinstance(function, ast.Attribute) else function.id if isinstance(function, ast.Name) else ""
    )


def _value(node: ast.expr, names: dict[str, ast.expr], depth: int = 0) -> Any:
    if isinstance(node, ast.Name) and node.id in names and depth < 5:
        return _value(names[node.id], names, depth + 1)
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return Computed(ast.unparse(node)[:80])
