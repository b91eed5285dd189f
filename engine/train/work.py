"""What happens before anything heavy is imported: where to start, the model's small files, the data, the weights."""

from __future__ import annotations

from pathlib import Path

from engine.data.prepare import load_examples
from engine.data.prepared import PreparedData, good_examples
from engine.machine.packages import require_training_packages
from engine.machine.trackers import require_trackers
from engine.models.find import ModelFiles, find_model
from engine.recipe import Recipe
from engine.runs.store import Run
from engine.train import resume, surroundings
from engine.train.download import base_files, model_directory
from engine.train.session import Engine, Inputs, SamplePrompt, Template


def work(run: Run, resuming: bool, engine: Engine) -> str | None:
    """Do the whole run. None when it has finished, else a sentence about why it stopped. Raises UserError."""
    require_training_packages()
    recipe = run.recipe()
    require_trackers(recipe.tracking.to)
    start = resume.agreed_start(run, resuming, engine)
    files = find_model(recipe.model.source, recipe.model.revision)
    base = base_files(files)
    data = load_examples(recipe, _tokenizer_folder(base), progress=lambda _: engine.reporter.tick())
    try:
        for note in data.notes:
            engine.reporter.warning(note, recipe.data.source, kind="data")
        prompts = sample_prompts(data, recipe.evaluation.samples)
        template = Template(data.renderer.kind, data.renderer.template_text, data.renderer.stop_token_ids)
    finally:
        data.renderer.close()
    engine.reporter.phase("loading model", _what_is_loaded(recipe, base))
    directory = model_directory(base)
    surroundings.go_offline()
    if recipe.method.backend == "unsloth":
        from engine.train.unsloth import import_first

        import_first()
    from engine.train.phases import go_through  # torch and what stands on it: some five seconds

    return go_through(Inputs(run, recipe, data, files, directory, start, prompts, template), engine)


def sample_prompts(data: PreparedData, count: int) -> list[SamplePrompt]:
    """Prompts of the first held-out rows; without held-out rows there is nothing honest to show."""
    prompts = []
    for example in good_examples(data)[:count]:
        if example.is_text or not example.prompt_turns:
            continue
        ids = data.renderer.encode(data.renderer.prompt(example.prompt_turns, example.tools))
        expected = example.expected
        length = len(data.renderer.encode(expected))
        prompts.append(SamplePrompt(example.prompt_turns[-1].content, ids, expected, length))
    return prompts


def _tokenizer_folder(base: ModelFiles) -> Path:
    folder = base.directory if base.directory is not None else base.tokenizer_path and base.tokenizer_path.parent
    assert folder is not None  # find_model refuses a model without tokenizer
    return folder


def _what_is_loaded(recipe: Recipe, base: ModelFiles) -> str:
    if base.directory is None:
        return f"downloading {recipe.model.source}, {base.download_bytes / 1e9:.1f} GB"
    return recipe.model.source
