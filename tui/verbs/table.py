"""Every verb of the command line: its words, its example and its flags. Imports nothing but argparse."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Callable
from typing import NamedTuple

from tui.verbs import flags, flags_after

EXIT_CODES = "Exit codes: 0 done, 1 failed, 2 bad input or usage, 3 stopped and can go on, 130 interrupted."


class Verb(NamedTuple):
    """`run` is `module:function`, imported only when the verb is carried out; the function returns the exit code.

    `more_help` is `module:function` too; the function returns text that stands at the end of the verb's help.
    """

    name: str
    summary: str
    example: str
    run: str
    arguments: Callable[[ArgumentParser], None]
    more_help: str = ""


VERBS: tuple[Verb, ...] = (
    Verb("demo", "fine-tune a tiny model in about a minute, from the first question to the talking result",
         "tunewright demo --no-input", "tui.verbs.demo:run", flags.demo),
    Verb("hardware", "what this machine has, against the documented tiers",
         "tunewright hardware --json", "tui.verbs.hardware:run", flags.hardware),
    Verb("doctor", "is the installation sound",
         "tunewright doctor", "tui.verbs.doctor:run", flags.doctor),
    Verb("data", "look at training data: format, rows as the model sees them, findings",
         "tunewright data rows.jsonl --model Qwen/Qwen2.5-0.5B-Instruct", "tui.verbs.data:run", flags.data),
    Verb("plan", "which method fits, why, and what it takes in memory, disk and time",
         "tunewright plan --model Qwen/Qwen2.5-7B-Instruct --vram 24", "tui.verbs.plan:run", flags.plan),
    Verb("new", "write a recipe file without training",
         "tunewright new --model ./base --data rows.jsonl --out recipe.toml", "tui.verbs.new:run", flags.new,
         "tui.verbs.new:describe_keys"),
    Verb("import", "make a recipe from an Axolotl or LLaMA-Factory file, a TRL command line or an Unsloth notebook",
         "tunewright import axolotl.yaml --out recipe.toml", "tui.verbs.bring:run", flags.bring),
    Verb("train", "start a run in the background and say its name",
         "tunewright train --model ./base --data rows.jsonl --set training.epochs=2", "tui.verbs.train:run",
         flags.train),
    Verb("queue", "carry out several recipes one after another or one per GPU, and compare what came of them",
         "tunewright queue recipe.toml --sweep training.learning_rate=1e-4,2e-4,5e-4", "tui.verbs.queue:run",
         flags.queue),
    Verb("runs", "list the runs and what each is doing",
         "tunewright runs", "tui.verbs.runs:run", flags.listing),
    Verb("attach", "watch a run; leaving it does not stop it",
         "tunewright attach base-lora", "tui.verbs.attach:run", flags.attach),
    Verb("stop", "save a checkpoint and stop; `resume` goes on from there",
         "tunewright stop base-lora", "tui.verbs.control:stop", flags.control),
    Verb("save", "save a checkpoint now and go on",
         "tunewright save base-lora", "tui.verbs.control:save", flags.control),
    Verb("pause", "save, and give the memory back until `resume`",
         "tunewright pause base-lora", "tui.verbs.control:pause", flags.control),
    Verb("resume", "go on with a paused, stopped or failed run",
         "tunewright resume base-lora --follow", "tui.verbs.control:resume", flags.resume),
    Verb("run", "go on with the runs that ended with the machine; for machines that restart",
         "tunewright run --auto-resume", "tui.verbs.auto_resume:run", flags.go_on),
    Verb("chat", "talk to the base model and the tuned one side by side",
         'tunewright chat base-lora --prompt "Two large pizzas, please"', "tui.verbs.chat:run", flags_after.chat),
    Verb("eval", "measure base and tuned on the held-out rows",
         "tunewright eval base-lora --json", "tui.verbs.evaluate:run", flags_after.evaluate),
    Verb("report", "write a run down as one HTML page and one picture",
         "tunewright report base-lora --out ~/reports", "tui.verbs.report:run", flags_after.report),
    Verb("adapters", "list the adapters of all runs, say how to serve one, combine several",
         "tunewright adapters --combine base-lora other=0.5 --out both", "tui.verbs.adapters:run",
         flags_after.adapters),
    Verb("export", "make a model folder that other programs load, or an Ollama model",
         "tunewright export base-lora --to ollama", "tui.verbs.export:run", flags_after.export),
)  # fmt: skip
