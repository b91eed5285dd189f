"""Flags of the verbs for what comes after a run: talk, measure, hand on, write down."""

from __future__ import annotations

from argparse import ArgumentParser

from tui.verbs.flags import as_json, run_name, runs
from tui.verbs.numbers import amount, positive


def chat(parser: ArgumentParser) -> None:
    run_name(parser)
    parser.add_argument("--prompt", action="append", default=[], metavar="TEXT",
                        help="ask this and end; each --prompt begins anew")  # fmt: skip
    parser.add_argument("--which", choices=("base", "tuned", "both"), default="both",
                        help="who answers (default: both)")  # fmt: skip
    parser.add_argument("--max-tokens", type=positive, default=256, metavar="N", help="longest answer (default: 256)")
    parser.add_argument("--temperature", type=amount, default=0.0, metavar="T", help="0 is always the likeliest token")
    parser.add_argument("--top-p", type=amount, default=1.0, metavar="P", help="share of likely tokens that is kept")
    parser.add_argument("--seed", type=int, default=42, metavar="N", help="fixes the choice when T > 0 (default: 42)")
    as_json(parser)


def evaluate(parser: ArgumentParser) -> None:
    run_name(parser)
    parser.add_argument(
        "--rows", type=positive, default=0, metavar="N", help="answer at most this many rows (default: 200)"
    )
    parser.add_argument("--checkpoint", metavar="NAME", help="a checkpoint of the run instead of its result")
    as_json(parser)


def export(parser: ArgumentParser) -> None:
    run_name(parser)
    parser.add_argument(
        "--to",
        choices=("merged", "ollama", "gguf", "script", "hub", "axolotl", "llamafactory"),
        required=True,
        help="merged: one model folder in 16 bits; ollama: a GGUF file (or that folder) and a Modelfile; gguf: one "
        "file for llama.cpp; script: a program that repeats the run; hub: a private repository; "
        "axolotl, llamafactory: the recipe in their form",
    )
    parser.add_argument("--out", metavar="DIR", help="default: exports/ in the folder of the run")
    _to_ollama(parser)
    parser.add_argument("--type", metavar="TYPE", help="with gguf: f32, f16, bf16, q8_0, q4_k_m ... (default: bf16)")
    parser.add_argument("--llama-cpp", metavar="DIR", help="with gguf: a llama.cpp folder with its converter")
    parser.add_argument(
        "--fetch-converter",
        action="store_true",
        help="with gguf: download llama.cpp's converter (77 MB, checked by its hash)",
    )
    parser.add_argument("--adapter-only", action="store_true", help="with gguf: the adapter alone")
    parser.add_argument(
        "--ollama-base",
        metavar="NAME",
        help="with --adapter-only: the base model's name in Ollama, for a Modelfile with ADAPTER",
    )
    parser.add_argument("--dtype", choices=("bf16", "fp16", "fp32"), help="with merged: the number format")
    parser.add_argument(
        "--into",
        choices=("trained", "original"),
        help="with QLoRA: the base as it was trained on (default), or as its files hold it",
    )
    parser.add_argument("--checkpoint", metavar="NAME", help="a checkpoint of the run instead of its result")
    parser.add_argument("--what", choices=("adapter", "merged"), help="with hub: what is published")
    parser.add_argument("--repo", metavar="USER/NAME", help="with hub: where to; without it only the folder is made")
    parser.add_argument("--public", action="store_true", help="with hub: everybody may see it")
    as_json(parser)


def _to_ollama(parser: ArgumentParser) -> None:
    """What the hand-over to Ollama may be told."""
    parser.add_argument(
        "--create", action="store_true", help="with ollama: create the model there and compare its answers with ours"
    )
    parser.add_argument("--create-from", metavar="DIR", help="with ollama: only that, from an export made before")
    parser.add_argument(
        "--road",
        choices=("gguf", "directory"),
        help="with ollama: a GGUF file (default), or the folder, which Ollama's converter must know",
    )
    parser.add_argument("--ollama-name", metavar="NAME", help="with ollama: what the model is called there")
    parser.add_argument("--system", metavar="TEXT", help="with ollama: a system message that always stands first")
    parser.add_argument(
        "--context-tokens",
        type=positive,
        default=0,
        metavar="N",
        help="with ollama: num_ctx (default: 4096, or what the model takes)",
    )
    parser.add_argument("--greedy", action="store_true", help="with ollama: always the likeliest token")


def adapters(parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", nargs="?", default="", help="one run: its adapter and how to serve it")
    parser.add_argument(
        "--combine", metavar="NAME[=WEIGHT]", nargs="+", help="make one adapter from those of these runs"
    )
    parser.add_argument("--out", metavar="DIR", help="with --combine: where the new adapter goes")
    runs(parser)
    as_json(parser)


def report(parser: ArgumentParser) -> None:
    run_name(parser)
    parser.add_argument("--out", metavar="DIR", help="where to (default: the folder of the run)")
    as_json(parser)
