"""The text of the standalone script that trains a head for labels. `@NAME@` is filled in."""

NAMED_ROWS = """A row holds the text that the model reads, or token ids, and its label."""

LABEL_IMPORTS = """import json
from pathlib import Path

import torch
from datasets import Dataset
from peft import LoraConfig, get_peft_model
from torch.utils.data import Sampler
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BitsAndBytesConfig,
    Trainer,
    TrainingArguments,
    set_seed,
)"""

LABELS = '''def read_rows(path, tokenizer):
    """Token ids, and the number of the label."""
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        ids = row["input_ids"] if "input_ids" in row else tokenizer(row["text"], add_special_tokens=False)["input_ids"]
        rows.append({"input_ids": ids, "labels": LABELS.index(row["label"])})
    return rows


def collate(rows, pad):
    width = max(len(row["input_ids"]) for row in rows)
    return {
        "input_ids": torch.tensor([row["input_ids"] + [pad] * (width - len(row["input_ids"])) for row in rows]),
        "attention_mask": torch.tensor(
            [[1] * len(row["input_ids"]) + [0] * (width - len(row["input_ids"])) for row in rows]
        ),
        "labels": torch.tensor([row["labels"] for row in rows]),
    }


def loss_of(outputs, labels, num_items_in_batch=None):
    """Cross entropy over the labels, divided by the rows of the whole effective batch."""
    total = torch.nn.functional.cross_entropy(outputs.logits.float(), labels, reduction="sum")
    return total / (len(labels) if num_items_in_batch is None else num_items_in_batch)


class Learner(Trainer):
    """transformers' trainer with the run's order of rows."""

    def _get_train_sampler(self, train_dataset=None):
        lengths = [len(row["input_ids"]) for row in self.train_dataset]
        return Order(lengths, @MICRO_BATCH@ * @ACCUMULATION@, 0)


def main():
@TOKENIZER@    rows = Dataset.from_list(read_rows(HERE / "rows.jsonl", tokenizer))
    held_out = read_rows(HERE / "held_out.jsonl", tokenizer)
    settings = TrainingArguments(
        output_dir=str(HERE / "output"),
        remove_unused_columns=False,
        label_names=["labels"],
        neftune_noise_alpha=@NOISE@,
@ARGUMENTS@    )
    set_seed(SEED)  # the head for the labels is random
    model = load_model()
    model.config.pad_token_id = tokenizer.pad_token_id
    trainer = Learner(
        model=model,
        args=settings,
        train_dataset=rows,
        eval_dataset=Dataset.from_list(held_out) if held_out else None,
        data_collator=lambda rows: collate(rows, tokenizer.pad_token_id),
        compute_loss_func=loss_of,
        processing_class=tokenizer,
    )
'''
