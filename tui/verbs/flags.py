"""The flags of each verb, and those that several share. Imports nothing but argparse."""

from __future__ import annotations

from argparse import ArgumentParser, _MutuallyExclusiveGroup

from tui.verbs.numbers import amount, natural, positive

GOALS = ("instruction", "code", "classification", "structured", "chat", "text")
METHODS = ("full", "lora", "qlora")


def as_json(parser: ArgumentParser | _MutuallyExclusiveGroup) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON document and nothing else")


def runs(parser: ArgumentParser) -> None:
    parser.add_argument("--runs", metavar="DIR", help="where runs are kept (default: ~/tunewright/runs)")


def pretend(parser: ArgumentParser) -> None:
    parser.add_argument("--vram", type=amount, metavar="GB", help="pretend a GPU with this much memory; 0 is no GPU")
    parser.add_argument("--gpus", type=positive, metavar="N", help="with --vram: pretend this many such GPUs")
    parser.add_argument("--ram", type=amount, metavar="GB", help="pretend this much main memory")


def choices(parser: ArgumentParser) -> None:
    """The answers that define a recipe; everything that is not given is recommended, with its reason."""
    parser.add_argument("--model", metavar="M", help="base model: a folder, or a name on the Hugging Face Hub")
    parser.add_argument(
        "--data", metavar="D", help="training data: .jsonl .json .csv .parquet .txt, a folder, or a Hub name"
    )
    parser.add_argument("--goal", choices=GOALS, help="what the model is to learn (default: told from the data)")
    parser.add_argument("--method", choices=METHODS, help="default: the best that fits")
    settings(parser, "training.epochs=2")


def settings(parser: ArgumentParser, example: str) -> None:
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides",
                        help=f"set one key of the recipe, as in {example}; may be repeated")  # fmt: skip


def machines(parser: ArgumentParser) -> None:
    parser.add_argument("--nodes", type=positive, default=1, metavar="N", help="share the run among so many machines")
    parser.add_argument("--rendezvous", metavar="HOST:PORT", help="with --nodes: where the machines meet")


def follow_or_json(parser: ArgumentParser) -> None:
    """Lines and one document exclude each other on stdout."""
    either = parser.add_mutually_exclusive_group()
    either.add_argument("--follow", action="store_true", help="stay and show progress; Ctrl-C leaves the run running")
    as_json(either)


def no_input(parser: ArgumentParser) -> None:
    parser.add_argument("--no-input", action="store_true", help="never ask; fail when an answer is missing")


def hardware(parser: ArgumentParser) -> None:
    pretend(parser)
    parser.add_argument("--table", action="store_true", help="what works on NVIDIA, AMD, Apple, Intel and processors")
    runs(parser)
    as_json(parser)


def doctor(parser: ArgumentParser) -> None:
    runs(parser)
    as_json(parser)


def data(parser: ArgumentParser) -> None:
    parser.add_argument(
        "data",
        metavar="DATA",
        help="a file (.jsonl .json .csv .tsv .parquet .txt .md, also packed as .gz), a folder of such files, or a "
        "dataset on the Hugging Face Hub",
    )
    parser.add_argument("--model", metavar="M", help="count tokens and render rows as this base model would see them")
    parser.add_argument("--rows", type=natural, default=3, metavar="N", help="rows to show (default: 3)")
    settings(parser, "data.skip_bad_rows=true")
    as_json(parser)


def plan(parser: ArgumentParser) -> None:
    choices(parser)
    parser.add_argument(
        "--simulate",
        action="store_true",
        help="follow one training step of each method without weights: exact, takes seconds",
    )
    parser.add_argument(
        "--calibration",
        action="store_true",
        help="instead: how estimates and simulations of the runs here compare with what they measured",
    )
    pretend(parser)
    runs(parser)
    as_json(parser)


def new(parser: ArgumentParser) -> None:
    choices(parser)
    parser.add_argument("--out", metavar="FILE", required=True, help="the recipe file to write; - prints it")
    parser.add_argument("--force", action="store_true", help="write over a file that exists")
    pretend(parser)
    runs(parser)
    as_json(parser)


def train(parser: ArgumentParser) -> None:
    parser.add_argument("recipe", nargs="?", metavar="RECIPE", help="a recipe file; or give --model and --data")
    choices(parser)
    parser.add_argument("--name", metavar="N", help="name of the run (default: from model and method)")
    parser.add_argument(
        "--rehearse-only",
        action="store_true",
        help="load the model, measure the longest batch and stop; `resume` then trains",
    )
    parser.add_argument(
        "--slurm",
        action="store_true",
        help="write a job file for SLURM and hand it in; --vram and --gpus say what a node has",
    )
    machines(parser)
    pretend(parser)
    runs(parser)
    no_input(parser)
    follow_or_json(parser)


def run_name(parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="name of the run; `tunewright runs` lists them")
    runs(parser)


def listing(parser: ArgumentParser) -> None:
    runs(parser)
    as_json(parser)


def attach(parser: ArgumentParser) -> None:
    run_name(parser)
    parser.add_argument("--plain", action="store_true", help="lines of text instead of the screen")
    parser.add_argument("--no-mouse", action="store_true", help="leave the mouse to the terminal")


def wait(parser: ArgumentParser) -> None:
    parser.add_argument("--wait", type=amount, default=30.0, metavar="SECONDS",
                        help="how long to wait for the run's answer (default: 30)")  # fmt: skip


def control(parser: ArgumentParser) -> None:
    run_name(parser)
    wait(parser)
    as_json(parser)


def resume(parser: ArgumentParser) -> None:
    run_name(parser)
    wait(parser)
    parser.add_argument("--devices", type=positive, metavar="N", help="go on with this many GPUs (default: as before)")
    machines(parser)
    follow_or_json(parser)


def go_on(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--auto-resume",
        action="store_true",
        help="go on with every run whose engine was lost with the machine or killed",
    )
    parser.add_argument(
        "--print-unit",
        choices=("systemd", "cron"),
        metavar="KIND",
        help="print what makes this happen at every start of the machine: systemd or cron",
    )
    parser.add_argument(
        "--watch",
        type=amount,
        default=30.0,
        metavar="SECONDS",
        help="how long a run of another host has to be silent to count as lost (default: 30)",
    )
    runs(parser)
    as_json(parser)


def queue(parser: ArgumentParser) -> None:
    parser.add_argument("recipes", metavar="RECIPE", nargs="*", help="recipe files, in their order; none lists queues")
    parser.add_argument("--sweep", metavar="KEY=A,B", action="append", default=[],
                        help="one run for each value; several sweeps make every combination")  # fmt: skip
    parser.add_argument("--per-gpu", action="store_true", help="as many runs at a time as there are GPUs, one on each")
    parser.add_argument("--name", metavar="NAME", help="name of the queue (default: its date)")
    parser.add_argument("--wait", action="store_true", help="stay until all runs have ended, then compare them")
    parser.add_argument("--show", metavar="NAME", help="how the runs of a queue stand")
    parser.add_argument("--stop", metavar="NAME", help="save and stop what goes on, and start no more")
    parser.add_argument("--go-on", metavar="NAME", help="go on with a queue that was stopped or lost its machine")
    runs(parser)
    as_json(parser)


def bring(parser: ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help=".yaml, .sh, .ipynb or .py")
    parser.add_argument("--out", metavar="FILE", help="the recipe to write (default: it is only shown)")
    parser.add_argument("--force", action="store_true", help="write over a file that exists")
    as_json(parser)


def demo(parser: ArgumentParser) -> None:
    runs(parser)
    no_input(parser)
    parser.add_argument("--no-mouse", action="store_true", help="leave the mouse to the terminal")
