"""Memory of a merge: file by file against the whole model in memory, each in a process of its own.

    python -m tests.bench.ending_merge [hidden] [layers]

Makes a Llama with random bf16 weights and a LoRA adapter of rank 16 on every linear layer, then merges it both ways.
Anonymous memory is sampled every 5 ms (/proc/self/status, RssAnon), above what the process held before the merge:
pages of the mapped base files are the kernel's to drop, so they are not counted.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

SHARD_BYTES = 100_000_000


def make(folder: Path, hidden: int, layers: int) -> None:
    """Base model and adapter in `folder`."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=16_000, hidden_size=hidden, intermediate_size=3 * hidden, num_hidden_layers=layers,
        num_attention_heads=hidden // 64, num_key_value_heads=hidden // 128, tie_word_embeddings=False,
        dtype="bfloat16",
    )  # fmt: skip
    model = LlamaForCausalLM(config).to(torch.bfloat16)
    model.save_pretrained(folder / "base")
    adapted = get_peft_model(model, LoraConfig(r=16, lora_alpha=32, target_modules="all-linear"))
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.02)
    adapted.save_pretrained(folder / "adapter")


class Peak:
    """The largest anonymous memory of this process since it was made, in bytes above the beginning."""

    def __init__(self) -> None:
        self.first = self.largest = anonymous_bytes()
        self.done = False
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while not self.done:
            self.largest = max(self.largest, anonymous_bytes())
            time.sleep(0.005)


def anonymous_bytes() -> int:
    """RssAnon of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) * 1024
    raise SystemExit("This kernel does not say RssAnon.")


def merge(folder: Path, way: str) -> dict[str, Any]:
    """Merge in this process; what it took."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    from engine.use.shard_merge import merge_shards

    out = folder / way
    out.mkdir()
    torch.zeros(8, 8, dtype=torch.bfloat16) @ torch.zeros(8, 8, dtype=torch.bfloat16)
    peak, started = Peak(), time.process_time()
    if way == "files":
        bf16 = torch.bfloat16
        merge_shards(folder / "base", folder / "adapter", bf16, bf16, out, lambda message: None,
                     shard_bytes=SHARD_BYTES)  # fmt: skip
    else:
        model: Any = AutoModelForCausalLM.from_pretrained(folder / "base", dtype=torch.bfloat16)
        merged: Any = PeftModel.from_pretrained(model, folder / "adapter").merge_and_unload(safe_merge=True)
        merged.to(torch.bfloat16).save_pretrained(out)
    peak.done = True
    seconds = time.process_time() - started
    return {"way": way, "anonymous": peak.largest - peak.first, "seconds": round(seconds, 1)}


def equal(folder: Path) -> bool:
    """Whether both ways wrote the same bits."""
    import torch
    from safetensors.torch import load_file

    left, right = ({name: weight for file in (folder / way).glob("*.safetensors") for name, weight in
                    load_file(file).items()} for way in ("files", "memory"))  # fmt: skip
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def main() -> None:
    hidden, layers = (int(word) for word in ([*sys.argv[1:], "1024", "16"] if len(sys.argv) < 3 else sys.argv[1:])[:2])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make(folder, hidden, layers)
        base = sum(file.stat().st_size for file in (folder / "base").glob("*.safetensors"))
        adapter = (folder / "adapter" / "adapter_model.safetensors").stat().st_size
        print(f"base {base / 1e6:.0f} MB, adapter {adapter / 1e6:.0f} MB, shards of {SHARD_BYTES / 1e6:.0f} MB")
        for way in ("files", "memory"):
            done = subprocess.run([sys.executable, "-m", "tests.bench.ending_merge", "child", way, str(folder)],
                                  capture_output=True, text=True, check=True)  # fmt: skip
            facts = json.loads(done.stdout.splitlines()[-1])
            print(f"{way}: {facts['anonymous'] / 1e6:.0f} MB above the start, {facts['seconds']} CPU s")
        print(f"same bits: {equal(folder)}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["child"]:
        print(json.dumps(merge(Path(sys.argv[3]), sys.argv[2])))
    else:
        main()
