"""Every key a recipe may hold: type, range, default and the words that explain it.

One table feeds the recipe file, `--set`, the wizard's fields and their help, so that they cannot disagree.
Recommended values live in `engine.plan`; a default here is only what stands when nobody said anything.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from engine.errors import UserError

Value = str | int | float | bool | list[str] | dict[str, str]
T = TypeVar("T")
Kind = Literal["text", "int", "float", "bool", "choice", "list", "table"]


@dataclass(frozen=True)
class Key:
    """One value of a recipe. `minimum` and `maximum` are inclusive and in the key's own `unit`."""

    name: str
    kind: Kind
    default: Value
    title: str
    help: str
    more_or_less: str = ""
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    unit: str = ""
    expert: bool = False

    def check(self, value: object, where: str = "") -> Value:
        """Return `value` in this key's type. Raises UserError when it is of another type or out of range."""
        place = where or self.name
        if self.kind == "bool":
            return self._expect(value, bool, "true or false", place)
        if self.kind in {"int", "float"}:
            return self._check_number(value, place)
        if self.kind == "list":
            return self._check_list(value, place)
        if self.kind == "table":
            return self._check_table(value, place)
        text = self._expect(value, str, "text in quotes", place)
        if self.kind == "choice" and text not in self.choices:
            raise UserError(f"{self.name} is {text!r}.", place, f"Use one of: {', '.join(self.choices)}.")
        return text

    def _expect(self, value: object, kind: type[T], words: str, where: str) -> T:
        if not isinstance(value, kind):
            raise UserError(f"{self.name} is {value!r}, where {words} is expected.", where, f"Write {words}.")
        return value

    def _check_number(self, value: object, where: str) -> int | float:
        wanted = "a whole number" if self.kind == "int" else "a number"
        whole = isinstance(value, int) and not isinstance(value, bool)
        if not (whole or (self.kind == "float" and isinstance(value, float))):
            raise UserError(f"{self.name} is {value!r}, where {wanted} is expected.", where, f"Write {wanted}.")
        assert isinstance(value, int | float)
        too_small = self.minimum is not None and not value >= self.minimum
        too_large = self.maximum is not None and not value <= self.maximum
        if too_small or too_large:
            raise UserError(f"{self.name} is {value}, outside {self.range_text()}.", where, f"Use {self.range_text()}.")
        return float(value) if self.kind == "float" else value

    def _check_list(self, value: object, where: str) -> list[str]:
        items = value if isinstance(value, list) else None
        if items == [] and self.default == []:
            return []
        if items is None or not items or not all(isinstance(item, str) and item for item in items):
            raise UserError(f"{self.name} is {value!r}, where a list of names is expected.", where, 'Write ["a", "b"].')
        return [str(item) for item in items]

    def _check_table(self, value: object, where: str) -> dict[str, str]:
        pairs = value if isinstance(value, dict) else None
        if pairs is None or not all(isinstance(k, str) and isinstance(v, str) for k, v in pairs.items()):
            words = "a table of role = column"
            raise UserError(f"{self.name} is {value!r}, where {words} is expected.", where, '{ prompt = "question" }')
        return {str(k): str(v) for k, v in pairs.items()}

    def range_text(self) -> str:
        """The allowed range in words, for messages and help."""
        if self.minimum is not None and self.maximum is not None:
            return f"{self.minimum:g} to {self.maximum:g}"
        if self.minimum is not None:
            return f"{self.minimum:g} or more"
        return f"{self.maximum:g} or less" if self.maximum is not None else "any number"


METHODS = ("full", "lora", "qlora")
BACKENDS = ("trl", "unsloth")
OBJECTIVES = ("sft", "dpo", "kto", "orpo", "classify")
REFERENCES = ("beside", "precomputed")
SHARDINGS = ("none", "fsdp2", "zero2", "zero3")
TRACKERS = ("tensorboard", "trackio", "wandb", "mlflow")
FORMATS = (
    "auto", "instruction", "prompt_completion", "classification", "input_output", "messages", "sharegpt",
    "preference", "kto", "text",
)  # fmt: skip
PRECISIONS = ("bf16", "fp16", "fp32")
SCHEDULERS = ("cosine", "linear", "constant")
OPTIMIZERS = ("adamw_torch_fused", "adamw_torch", "adamw_8bit", "paged_adamw_8bit")

_TABLE: Sequence[Key] = (
    Key("model.source", "text", "", "Base model", "A folder with the model, or its name on the Hugging Face Hub."),
    Key("model.revision", "text", "", "Revision", "A commit, tag or branch on the Hub. Empty is the newest.",
        expert=True),
    Key("data.source", "text", "", "Data", "A file, a folder of files, or the name of a dataset on the Hub."),
    Key("data.format", "choice", "auto", "Format", "How a row is to be read.", choices=FORMATS),
    Key("data.split", "text", "train", "Split", "Which part of a Hub dataset is used.", expert=True),
    Key("data.config", "text", "", "Configuration", "Which configuration of a Hub dataset is used.", expert=True),
    Key("data.revision", "text", "", "Data revision", "A commit, tag or branch of a Hub dataset. Empty is the newest.",
        expert=True),
    Key("data.validation", "text", "", "Validation file",
        "A second file to evaluate on. Empty holds rows of the first one out.", expert=True),
    Key("data.encoding", "text", "", "Encoding", "How the bytes of the file are letters. Empty is UTF-8.", expert=True),
    Key("data.max_rows", "int", 0, "Row limit", "Use only so many rows, the first ones of each source. 0 is all.",
        minimum=0, maximum=1_000_000_000, expert=True),
    Key("data.skip_bad_rows", "bool", False, "Skip bad rows",
        "Leave out rows that cannot be read. They are counted and listed; off stops at the first one.", expert=True),
    Key("data.map", "table", {}, "Columns", "Which column plays which role, where the names do not say it.",
        expert=True),
    Key("data.more", "list", [], "More data",
        "Further files, each with how often its rows are used in a pass: [\"chat.jsonl * 0.5\", \"b.csv * 2\"].",
        "A half uses a random half of its rows, 2 uses every row twice in a pass.", expert=True),
    Key("data.template", "choice", "model", "Template",
        "The text around a conversation: the model's own chat template, or a plain one for models that have none.",
        choices=("model", "plain"), expert=True),
    Key("method.name", "choice", "lora", "Method",
        "QLoRA trains a small adapter on a base held in 4 bits, LoRA on a base held in 16 bits, "
        "full fine-tuning changes every weight.", choices=METHODS),
    Key("method.rank", "int", 16, "LoRA rank", "The width of the adapter: how much it can learn.",
        "More holds more facts and takes more memory; less is smaller and forgets the base less.",
        minimum=1, maximum=1024),
    Key("method.alpha", "int", 32, "LoRA alpha", "How strongly the adapter acts: its output is scaled by alpha / rank.",
        "Twice the rank is usual. More acts like a higher learning rate.", minimum=1, maximum=4096, expert=True),
    Key("method.dropout", "float", 0.0, "LoRA dropout", "The share of adapter inputs that is zeroed while training.",
        "Some helps against overfitting on little data; zero is fastest.", minimum=0, maximum=0.9, expert=True),
    Key("method.target_modules", "list", ["all-linear"], "Target modules",
        "Which layers get an adapter. all-linear is every linear layer except the output head.",
        "Fewer layers take less memory and learn less.", expert=True),
    Key("method.layers", "text", "", "Layers",
        "Which of the model's layers get an adapter, counted from 0: 0-7,12. Empty is all of them.",
        "Fewer layers take less memory and learn less.", expert=True),
    Key("method.dora", "bool", False, "DoRA",
        "Learn the length of each weight beside its direction (weight-decomposed LoRA).",
        "On can learn a little more at a small rank, takes more memory and about twice the time.", expert=True),
    Key("method.rslora", "bool", False, "rsLoRA", "Scale the adapter by alpha / sqrt(rank) instead of alpha / rank.",
        "On lets a large rank learn faster; use it with a smaller alpha.", expert=True),
    Key("method.train_embeddings", "bool", False, "Train embeddings",
        "Train the token embeddings and the output head whole, beside the adapter.",
        "On helps with a new language or new words; it takes much more memory and disk.", expert=True),
    Key("method.backend", "choice", "trl", "Backend",
        "Who trains: trl with transformers' own layers, or Unsloth's faster ones, in an environment of its own.",
        "Unsloth can save time and memory on one NVIDIA GPU; trl knows every model and method here.",
        choices=BACKENDS, expert=True),
    Key("method.objective", "choice", "sft", "Objective",
        "What is learned from a row. sft: to write the answer. dpo and orpo: to prefer the chosen answer to the "
        "rejected one. kto: to write answers marked good and not those marked bad. classify: to choose a label with a "
        "head of its own, which answers at once but cannot chat nor go to Ollama. orpo is experimental.",
        choices=OBJECTIVES),
    Key("method.beta", "float", 0.1, "Beta",
        "How strongly dpo and kto hold the model near the one it started from; for orpo, the weight of the preference.",
        "For dpo and kto more stays nearer to the start; for orpo more prefers harder.",
        minimum=1e-4, maximum=100, expert=True),
    Key("method.reference", "choice", "beside", "Reference model",
        "dpo and kto compare with the model as it was at the start: computed beside every step, or once before "
        "the first step and kept.",
        "precomputed holds no second model in memory and waits before the first step.", choices=REFERENCES,
        expert=True),
    Key("method.desirable_weight", "float", 0.0, "Weight of good rows",
        "How much a row marked good counts against one marked bad, in kto. 0 makes both sides count the same.",
        minimum=0, maximum=1000, expert=True),
    Key("training.epochs", "float", 3.0, "Epochs", "How often the data is gone through.",
        "More learns the rows better and at some point by heart.", minimum=0.01, maximum=1000),
    Key("training.max_steps", "int", 0, "Step limit", "Stop after this many optimizer steps. 0 is no limit.",
        minimum=0, maximum=100_000_000, expert=True),
    Key("training.micro_batch_size", "int", 1, "Micro-batch", "Rows that go through the model at once.",
        "More is faster and takes more memory.", minimum=1, maximum=4096, unit="rows"),
    Key("training.gradient_accumulation_steps", "int", 16, "Gradient accumulation",
        "Micro-batches that are added up before the weights change. Times micro-batch it is the effective batch.",
        "More makes each step steadier and rarer; memory stays nearly the same.", minimum=1, maximum=65_536),
    Key("training.devices", "int", 1, "GPUs", "How many GPUs of a machine share the work of each step.",
        "More is faster. The effective batch stays as it is: each GPU learns an equal share of its micro-batches.",
        minimum=1, maximum=64, expert=True),
    Key("training.sharding", "choice", "none", "Sharding",
        "none: every GPU holds the whole model. fsdp2, and zero3 of DeepSpeed: weights, gradients and optimizer are "
        "divided among the GPUs. zero2 of DeepSpeed: gradients and optimizer only.",
        "Divided is for what does not fit on one GPU; it is slower, and for the objective sft only. fsdp2 is for full "
        "fine-tuning.", choices=SHARDINGS, expert=True),
    Key("training.sequence_length", "int", 2048, "Sequence length", "The most tokens of a row that are kept.",
        "More cuts fewer rows and takes more memory.", minimum=8, maximum=1_048_576, unit="tokens"),
    Key("training.packing", "bool", False, "Packing", "Put several short rows into one sequence.",
        "Saves time when rows are much shorter than the sequence length.", expert=True),
    Key("training.learning_rate", "float", 2e-4, "Learning rate", "How far each step moves the weights.",
        "More learns faster until it becomes unstable; less is safe and slow.", minimum=1e-9, maximum=1.0),
    Key("training.scheduler", "choice", "cosine", "Schedule", "How the learning rate falls over the run.",
        choices=SCHEDULERS, expert=True),
    Key("training.warmup_ratio", "float", 0.05, "Warm-up", "The share of steps in which the learning rate rises.",
        "More is gentler at the start.", minimum=0, maximum=0.5, expert=True),
    Key("training.optimizer", "choice", "adamw_torch_fused", "Optimizer",
        "The rule that turns gradients into changes. The 8-bit ones take a quarter of the memory.",
        choices=OPTIMIZERS, expert=True),
    Key("training.weight_decay", "float", 0.01, "Weight decay", "How strongly weights are pulled towards zero.",
        minimum=0, maximum=1, expert=True),
    Key("training.max_grad_norm", "float", 1.0, "Gradient clip", "Longer gradients are cut to this length.",
        "Less is calmer after a bad batch.", minimum=0.001, maximum=1000, expert=True),
    Key("training.gradient_checkpointing", "bool", True, "Gradient checkpointing",
        "Compute activations a second time instead of keeping them.",
        "On takes much less memory and about a third more time.", expert=True),
    Key("training.activation_offloading", "bool", False, "Activation offloading",
        "Keep activations in the host's RAM between the forward and the backward pass.",
        "On takes less GPU memory and is slower. It needs an NVIDIA GPU.", expert=True),
    Key("training.neftune_alpha", "float", 0.0, "NEFTune noise",
        "Noise on the embeddings while training; 5 is usual. 0 is none.",
        "Some makes answers to instructions longer and less literal.", minimum=0, maximum=1000, expert=True),
    Key("training.precision", "choice", "bf16", "Precision", "The number format of the computation.",
        "bf16 on newer GPUs, fp16 on older ones, fp32 on a CPU.", choices=PRECISIONS, expert=True),
    Key("training.seed", "int", 42, "Seed", "Fixes the order of the data and every random choice.",
        minimum=0, maximum=2**31 - 1, expert=True),
    Key("evaluation.held_out_rows", "int", 0, "Held-out rows",
        "Rows that are kept out of training and used to see whether it generalises. 0 is no evaluation.",
        "More measures better and trains on less.", minimum=0, maximum=1_000_000, unit="rows"),
    Key("evaluation.held_out_share", "float", 0.0, "Held-out share",
        "The same as a share of all rows, where Held-out rows is 0: 0.05 is every twentieth.",
        "More measures better and trains on less.", minimum=0, maximum=0.5, expert=True),
    Key("evaluation.every_steps", "int", 0, "Evaluate every",
        "Optimizer steps between evaluations. 0 spreads ten evaluations over the run.",
        minimum=0, maximum=100_000_000, unit="steps", expert=True),
    Key("evaluation.patience", "int", 0, "Patience",
        "End the run when so many evaluations in a row were not better than the best. 0 never does.",
        "Less stops sooner; the best checkpoint is kept in any case.", minimum=0, maximum=10_000, unit="evaluations",
        expert=True),
    Key("evaluation.general", "text", "", "General text",
        "A text file that is not trained on. Its loss is measured beside the held-out rows and says what is forgotten.",
        expert=True),
    Key("evaluation.samples", "int", 3, "Samples", "Held-out prompts that are answered at every evaluation.",
        minimum=0, maximum=100, expert=True),
    Key("checkpoints.every_steps", "int", 0, "Checkpoint every",
        "Optimizer steps between checkpoints. 0 spreads five checkpoints over the run.",
        "More often loses less after a crash and writes more.", minimum=0, maximum=100_000_000, unit="steps",
        expert=True),
    Key("checkpoints.keep", "int", 2, "Checkpoints kept", "How many of the newest checkpoints stay on disk.",
        "More takes more disk.", minimum=1, maximum=1000, expert=True),
    Key("tracking.to", "list", [], "Trackers",
        "Where losses are also sent: tensorboard, trackio, wandb, mlflow. Their own settings and keys stay theirs.",
        expert=True),
    Key("tracking.project", "text", "tunewright", "Tracker project", "Under which name trackers file the run.",
        expert=True),
    Key("run.name", "text", "", "Run name", "The name of the run and of its folder."),
    Key("run.directory", "text", "", "Runs folder", "Where runs are kept. Empty is the usual place.", expert=True),
)  # fmt: skip

KEYS: dict[str, Key] = {key.name: key for key in _TABLE}
"""Dotted name -> Key, in the order in which a recipe is written."""

SECTIONS: tuple[str, ...] = tuple(dict.fromkeys(name.split(".")[0] for name in KEYS))


def find_key(name: str, where: str = "") -> Key:
    """The key called `name`. Raises UserError that names the nearest known keys."""
    if name in KEYS:
        return KEYS[name]
    near = difflib.get_close_matches(name, KEYS, n=3, cutoff=0.4)
    same_word = [key for key in KEYS if key.split(".")[1] == name.split(".")[-1]]
    hints = list(dict.fromkeys(same_word + near))[:3]
    fix = f"Did you mean {' or '.join(hints)}?" if hints else "`tunewright new --help` lists the keys."
    raise UserError(f"A recipe has no key {name!r}.", where or f"--set {name}", fix)


def parse_value(name: str, text: str) -> Value:
    """Read the value of a `--set key=value`. Raises UserError for an unknown key or a value of the wrong type.

    Text needs no quotes here, and a list may be written `a,b`.
    """
    key = find_key(name)
    where = f"--set {name}={text}"
    if key.kind in {"text", "choice"}:
        return key.check(text, where)
    if key.kind == "list" and not text.startswith("["):
        return key.check([part.strip() for part in text.split(",") if part.strip()], where)
    try:
        value: object = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    return key.check(value, where)
