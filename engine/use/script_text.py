"""The text of the standalone training scripts: what all have, and the supervised one. `@NAME@` is filled in."""

TOP = '''"""Repeats the fine-tuning run @TITLE@ with transformers, peft and trl alone.

    pip install -r requirements.txt
    python train.py

Beside this file: rows.jsonl (what is learned) and held_out.jsonl (what the loss is measured on).
@ROWS@
"""

@IMPORTS@

HERE = Path(__file__).resolve().parent
MODEL = @MODEL@
REVISION = @REVISION@
METHOD = @METHOD@  # full, lora or qlora
PRECISION = @PRECISION@
SEQUENCE_LENGTH = @SEQUENCE_LENGTH@
SEED = @SEED@
LAYERS = @LAYERS@  # such as 0-7,12; empty is all
EMBEDDINGS = @EMBEDDINGS@

@MORE@
ON_CPU = not torch.cuda.is_available()
COMPUTE = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}[PRECISION]
if PRECISION == "fp16" and (ON_CPU or METHOD == "full"):
    COMPUTE = torch.float32


'''

READ = '''def read_rows(path, tokenizer):
    """Token ids and labels; a label is -100 where nothing is learned."""
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if "text" in row:
            made = tokenizer(row["text"], add_special_tokens=False, return_offsets_mapping=True)
            learned = [any(s <= a and b <= e for s, e in row["learned"]) for a, b in made["offset_mapping"]]
            ids = made["input_ids"]
            row = {"input_ids": ids, "labels": [i if good else -100 for i, good in zip(ids, learned)]}
        rows.append(row)
    return rows


'''

MODEL = '''def load_base():
    """The base model."""
    quantization = None
    if METHOD == "qlora":
        if ON_CPU:  # bitsandbytes 0.50 repacks 4-bit weights at an evaluation; gradients are wrong from then on
            import bitsandbytes.nn.modules

            bitsandbytes.nn.modules.has_avx512bf16 = lambda: False
        quantization = BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=COMPUTE
        )
    model = @AUTO@.from_pretrained(
        MODEL,
        revision=REVISION,
        dtype=COMPUTE,
        quantization_config=quantization,
        device_map=None if ON_CPU else {"": 0},
        attn_implementation="sdpa",@HEAD@
    )
    model.config.use_cache = False
    return model


def load_model():
    """The base model, with a fresh adapter unless the method is full."""
    model = load_base()
    if METHOD == "full":
        return model
    set_seed(SEED)
    targets, layers = @TARGETS@, chosen_layers()
    if layers and targets == "all-linear":  # peft wants names to choose layers
        head = model.get_output_embeddings()
        linear = [(name, part) for name, part in model.named_modules() if isinstance(part, torch.nn.Linear)]
        targets = sorted({name.rpartition(".")[2] for name, part in linear if part is not head})
    lora = LoraConfig(
        r=@RANK@,
        lora_alpha=@ALPHA@,
        lora_dropout=@DROPOUT@,
        target_modules=targets,
        layers_to_transform=layers or None,
        use_dora=@DORA@,
        use_rslora=@RSLORA@,
        bias="none",
        task_type=@TASK@,
        **trained_embeddings(model),
    )
    return get_peft_model(model, lora)


def chosen_layers():
    """The numbers of the layers that get an adapter; none means all."""
    numbers = set()
    for part in filter(None, LAYERS.replace(" ", "").split(",")):
        first, _, last = part.partition("-")
        numbers.update(range(int(first), int(last or first) + 1))
    return sorted(numbers)


def trained_embeddings(model):
    """Token embeddings and, where it is a weight of its own, the output head are trained whole when that is wanted."""
    if not EMBEDDINGS:
        return {}
    tied = model.config.get_text_config().tie_word_embeddings
    wanted = [model.get_input_embeddings()] + ([] if tied else [model.get_output_embeddings()])
    names = [name.rpartition(".")[2] for name, part in model.named_modules() if any(part is one for one in wanted)]
    return {"modules_to_save": names, "ensure_weight_tying": tied}


'''

ARGUMENTS = """        max_steps=@STEPS@,
        per_device_train_batch_size=@MICRO_BATCH@,
        per_device_eval_batch_size=@MICRO_BATCH@,
        gradient_accumulation_steps=@ACCUMULATION@,
        learning_rate=@RATE@,
        lr_scheduler_type=@SCHEDULER@,
        warmup_steps=@WARMUP@,
        optim=@OPTIMIZER@,
        weight_decay=@DECAY@,
        max_grad_norm=@CLIP@,
        @CHECKPOINTING@,
        seed=SEED,
        data_seed=SEED,
        use_cpu=ON_CPU,
        bf16=PRECISION == "bf16",
        fp16=PRECISION == "fp16" and not ON_CPU,
        logging_steps=1,
        logging_nan_inf_filter=False,
        report_to="none",
        save_strategy="no",
        eval_strategy="no",
"""
"""What every objective's configuration has."""

TOKENIZER = """    tokenizer = AutoTokenizer.from_pretrained(MODEL, revision=REVISION)
    if tokenizer.pad_token is None or tokenizer.pad_token == tokenizer.eos_token:
        tokenizer.pad_token = @PAD@
"""

FINISH = """    for parameter in trainer.model.parameters():  # in 16 bits Adam's second moment would stand still
        if METHOD != "full" and parameter.requires_grad:
            parameter.data = parameter.data.float()
    trainer.train()
    if held_out:
        print("loss on the held-out rows, mean over batches:", trainer.evaluate()["eval_loss"])
    trainer.save_model(str(HERE / "output" / "result"))
    tokenizer.save_pretrained(str(HERE / "output" / "result"))
    (HERE / "output" / "losses.json").write_text(json.dumps(trainer.state.log_history))


if __name__ == "__main__":
    main()
"""

SUPERVISED_IMPORTS = """import json
from pathlib import Path

import torch
from datasets import Dataset
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig, set_seed
from trl import SFTConfig, SFTTrainer, pack_dataset"""
SUPERVISED_ROWS = """A row holds the text as the model sees it and `learned`, the places of the characters that it
learns to write; or token ids."""
SUPERVISED = """def main():
@TOKENIZER@    rows = Dataset.from_list(read_rows(HERE / "rows.jsonl", tokenizer))
    if PACKING:
        rows = pack_dataset(rows, SEQUENCE_LENGTH, "bfd")
    held_out = read_rows(HERE / "held_out.jsonl", tokenizer)
    settings = SFTConfig(
        output_dir=str(HERE / "output"),
        max_length=SEQUENCE_LENGTH,
        dataset_kwargs={"skip_prepare_dataset": True},
        packing=PACKING,
        packing_strategy="bfd",
        eval_packing=False,
        completion_only_loss=False,
        loss_type="nll",
        neftune_noise_alpha=@NOISE@,
        activation_offloading=@OFFLOADING@,
@ARGUMENTS@    )
    trainer = SFTTrainer(
        model=load_model(),
        args=settings,
        train_dataset=rows,
        eval_dataset=Dataset.from_list(held_out) if held_out else None,
        processing_class=tokenizer,
    )
"""
