"""The text of the standalone scripts that compare answers. `@NAME@` is filled in.

TRL's trainers get rows that are tokens already, so that an answer of several turns is judged by its own tokens, and
the micro-batches of the run: KTO and ORPO take means over a micro-batch, so that another division is another loss.
"""

PAIR_ROWS = """A row holds two answers to one question, `chosen` and `rejected`; each is the text as the model sees it
and `learned`, the places of the characters that it learns to write; or token ids."""
JUDGED_ROWS = """A row holds an `answer` with its question, and whether it is `good`: the text as the model sees it and
`learned`, the places of the characters that it learns to write; or token ids. Rows stand in their micro-batches, since
KTO compares each with a mismatched one: its question with the answer of the row before it in its micro-batch."""

PREFERENCE_IMPORTS = """import json
from pathlib import Path

import torch
from datasets import Dataset
from peft import LoraConfig, get_peft_model
from torch.utils.data import Sampler
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig, set_seed
from @FROM@ import @CONFIG@, @TRAINER@"""

ORDER = '''class Order(Sampler):
    """The run's order of rows: at random by seed and epoch, the rows of a step longest first; blocks stay together."""

    def __init__(self, lengths, rows_per_step, block):
        self.lengths, self.rows_per_step, self.block, self.epoch = lengths, rows_per_step, block, 0

    def set_epoch(self, epoch):
        self.epoch = epoch

    def __len__(self):
        return len(self.lengths)

    def __iter__(self):
        generator, count = torch.Generator().manual_seed(SEED + self.epoch), len(self.lengths)
        if self.block:
            whole = count // self.block
            for number in torch.randperm(whole, generator=generator).tolist():
                yield from range(number * self.block, (number + 1) * self.block)
            yield from range(whole * self.block, count)
            return
        rows = torch.randperm(count, generator=generator).tolist()
        for start in range(0, count, self.rows_per_step):
            yield from sorted(rows[start : start + self.rows_per_step], key=self.lengths.__getitem__, reverse=True)


'''

TOKENS = '''def tokens_of(row, tokenizer):
    """Token ids and labels; a label is -100 where nothing is learned."""
    if "text" not in row:
        return row["input_ids"], row["labels"]
    made = tokenizer(row["text"], add_special_tokens=False, return_offsets_mapping=True)
    learned = [any(s <= a and b <= e for s, e in row["learned"]) for a, b in made["offset_mapping"]]
    return made["input_ids"], [i if good else -100 for i, good in zip(made["input_ids"], learned)]


def read_lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def padded(ids, labels, pad):
    """Rows filled up on the right; completion_mask is 1 where a token is learned."""
    width = max(map(len, ids))

    def filled(rows, filler):
        return torch.tensor([[*row, *[filler] * (width - len(row))] for row in rows])

    return {
        "input_ids": filled(ids, pad),
        "attention_mask": filled([[1] * len(row) for row in ids], 0),
        "completion_mask": filled([[int(label != -100) for label in row] for row in labels], 0),
    }


'''

PAIRS = '''def read_rows(path, tokenizer):
    rows = []
    for row in read_lines(path):
        (ids, labels), (worse, worse_labels) = (tokens_of(row[name], tokenizer) for name in ("chosen", "rejected"))
        rows.append({"input_ids": ids, "labels": labels, "rejected_ids": worse, "rejected_labels": worse_labels})
    return rows


def length_of(row):
    return max(len(row["input_ids"]), len(row["rejected_ids"]))


def collate(rows, pad):
    """The chosen rows and behind them the rejected ones, as TRL's trainers expect them."""
    ids = [row["input_ids"] for row in rows] + [row["rejected_ids"] for row in rows]
    labels = [row["labels"] for row in rows] + [row["rejected_labels"] for row in rows]
    batch = padded(ids, labels, pad)
    known = [name for name in ("ref_chosen_logps", "ref_rejected_logps") if name in rows[0]]
    return {**batch, **{name: torch.tensor([row[name] for row in rows]) for name in known}}


'''

JUDGED = '''def read_rows(path, tokenizer):
    lines = read_lines(path)
    answers = [tokens_of(row["answer"], tokenizer) for row in lines]
    rows = []
    for number, (line, (ids, labels)) in enumerate(zip(lines, answers)):
        other_ids, other_labels = answers[partner(number, len(lines))]
        begin, behind = first_learned(labels), first_learned(other_labels)
        mixed, mixed_labels = ids[:begin] + other_ids[behind:], [-100] * begin + other_labels[behind:]
        row = {"input_ids": ids, "labels": labels, "label": line["good"]}
        rows.append({**row, "KL_ids": mixed[:SEQUENCE_LENGTH], "KL_labels": mixed_labels[:SEQUENCE_LENGTH]})
    return rows


def partner(number, count):
    """Whose answer is put behind a row's question: the row's before it in its micro-batch; the first takes the last."""
    start = number - number % @MICRO_BATCH@
    end = min(start + @MICRO_BATCH@, count)
    return 0 if end - start == 1 else end - 1 if number == start else number - 1


def first_learned(labels):
    return next((place for place, label in enumerate(labels) if label != -100), len(labels))


def length_of(row):
    return max(len(row["input_ids"]), len(row["KL_ids"]))


def collate(rows, pad):
    """Judged answers, each beside its mismatched text."""
    batch = padded([row["input_ids"] for row in rows], [row["labels"] for row in rows], pad)
    mixed = padded([row["KL_ids"] for row in rows], [row["KL_labels"] for row in rows], pad)
    batch |= {f"KL_{name}": value for name, value in mixed.items()}
    batch["label"] = torch.tensor([bool(row["label"]) for row in rows])
    known = [name for name in ("ref_logps", "ref_KL_logps") if name in rows[0]]
    return {**batch, **{name: torch.tensor([row[name] for row in rows]) for name in known}}


'''

LEARNER = '''class Learner(@TRAINER@):
    """TRL's trainer with rows that are tokens already, in the order of the run."""

    def _prepare_dataset(self, dataset, *_, **__):
        return dataset

    def _get_train_sampler(self, train_dataset=None):
        lengths = [length_of(row) for row in self.train_dataset]
        return Order(lengths, @MICRO_BATCH@ * @ACCUMULATION@, @BLOCK@)
'''

ODDS = """
    def tokenize_row(self, feature, model=None):
        return feature

    @staticmethod
    def concatenated_inputs(batch, *_, device=None, **__):
        labels = batch["input_ids"].masked_fill(batch["completion_mask"] == 0, -100)
        found = {"input_ids": batch["input_ids"], "attention_mask": batch["attention_mask"], "labels": labels}
        return {f"concatenated_{name}": value.to(device) for name, value in found.items()}

    def get_batch_loss_metrics(self, model, batch, train_eval="train"):
        pairs = len(batch["input_ids"]) // 2
        return super().get_batch_loss_metrics(model, {**batch, "chosen_labels": batch["input_ids"][:pairs]}, train_eval)
"""

PREFERENCE_MAIN = """

def main():
@TOKENIZER@    rows = Dataset.from_list(read_rows(HERE / "rows.jsonl", tokenizer))
    held_out = read_rows(HERE / "held_out.jsonl", tokenizer)
    settings = @CONFIG@(
        output_dir=str(HERE / "output"),
        remove_unused_columns=False,
        beta=@BETA@,
        @OWN@
@ARGUMENTS@    )
    trainer = Learner(
        model=load_model(),@REFERENCE@
        args=settings,
        train_dataset=rows,
        eval_dataset=Dataset.from_list(held_out) if held_out else None,
        data_collator=lambda rows: collate(rows, tokenizer.pad_token_id),
        processing_class=tokenizer,
    )
    if "ref" in getattr(trainer.model, "peft_config", {}):  # a copy of an untrained adapter: the base alone is the same
        trainer.model.delete_adapter("ref")
"""
