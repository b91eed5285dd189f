"""Make the embedded demo again: `python assets/demo/build.py [--data | --check]`.

Without an option it writes data/ (pure Python, the same bytes everywhere) and model/ (tokenizer and weights).
With --data it writes the rows only. With --check it fine-tunes the model in three ways and prints, for each, how many
held-out orders come out exactly right (see check.py). README.md holds the measured figures.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

if not __package__:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from assets.demo.orders import dump_rows, make_rows
from assets.demo.vocabulary import CONTEXT_LENGTH, save_tokenizer, train_tokenizer

HERE = Path(__file__).resolve().parent
SEED = 11


def write_data(directory: Path) -> None:
    """data/orders.jsonl and data/orders_test.jsonl."""
    train, test = make_rows()
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "orders.jsonl").write_text(dump_rows(train), encoding="utf-8")
    (directory / "orders_test.jsonl").write_text(dump_rows(test), encoding="utf-8")


def new_model(tokenizer: Any) -> Any:
    """An untrained Llama; every width is a multiple of 256, so that all quantizers accept it."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(SEED)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=256, intermediate_size=512, num_hidden_layers=3,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=CONTEXT_LENGTH, tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    return LlamaForCausalLM(config)


def save_model(model: Any, directory: Path) -> None:
    """bfloat16 safetensors (half the size), readable by everybody, and the generation settings."""
    import torch

    model.to(torch.bfloat16).save_pretrained(directory)
    generation = {"bos_token_id": model.config.bos_token_id, "eos_token_id": model.config.eos_token_id,
                  "pad_token_id": model.config.pad_token_id, "do_sample": False, "max_new_tokens": 200}  # fmt: skip
    (directory / "generation_config.json").write_text(json.dumps(generation, indent=2) + "\n")
    for file in directory.iterdir():
        file.chmod(0o644)


def main() -> None:
    """Parse the options and do the work."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", action="store_true", help="write the rows only")
    parser.add_argument("--out", type=Path, default=HERE, help="the directory that holds or gets model/ and data/")
    parser.add_argument("--check", nargs="*", metavar="METHOD", help="fine-tune and measure: lora full qlora (all)")
    options = parser.parse_args()
    model_directory, data_directory = options.out / "model", options.out / "data"
    if options.check is not None:
        from assets.demo.check import check

        check(options.check or ["lora", "full", "qlora"], model_directory, data_directory)
        return
    write_data(data_directory)
    if not options.data:
        from assets.demo.pretrain import pretrain

        tokenizer = train_tokenizer()
        model = new_model(save_tokenizer(tokenizer, model_directory))
        print(f"{sum(p.numel() for p in model.parameters()):,} parameters", flush=True)
        pretrain(model, tokenizer)
        save_model(model, model_directory)


if __name__ == "__main__":
    main()
