"""CUDA_VISIBLE_DEVICES: which of the machine's GPUs this process may use, mapped by UUID as CUDA does it.

Source: CUDA C++ programming guide, "CUDA Environment Variables": indexes, UUIDs (or unique beginnings of them) and MIG
ids are allowed; the first entry that names nothing ends the list; an empty value hides every device.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from engine.machine.gpus import Gpu


def choose_visible(gpus: tuple[Gpu, ...], environment: Mapping[str, str]) -> tuple[tuple[Gpu, ...], list[str]]:
    """The devices that CUDA will show, renumbered as CUDA will number them, and notes in words."""
    if "CUDA_VISIBLE_DEVICES" not in environment or not gpus:
        return gpus, []
    value = environment["CUDA_VISIBLE_DEVICES"].strip()
    chosen: list[Gpu] = []
    notes: list[str] = []
    for entry in value.split(",") if value else []:
        gpu = _named(entry.strip(), gpus)
        if gpu is None:
            if entry.strip() not in ("-1", "NoDevFiles", "none"):
                notes.append(
                    f'CUDA_VISIBLE_DEVICES names "{entry.strip()}", which is no GPU here; CUDA ignores it and all '
                    f"after it."
                )
            break
        if gpu in chosen:
            notes.append("CUDA_VISIBLE_DEVICES names a GPU twice; CUDA then shows no GPU at all.")
            return (), notes
        chosen.append(gpu)
    if len(chosen) < len(gpus):
        notes.append(f'CUDA_VISIBLE_DEVICES="{value}" shows {len(chosen)} of {len(gpus)} GPUs.')
    if _ambiguous_order(gpus, value, environment):
        notes.append(
            "The GPUs differ and CUDA numbers the fastest first: set CUDA_DEVICE_ORDER=PCI_BUS_ID to be sure which is "
            "meant."
        )
    return tuple(replace(gpu, index=index) for index, gpu in enumerate(chosen)), notes


def _named(entry: str, gpus: tuple[Gpu, ...]) -> Gpu | None:
    if entry.isdigit():
        return gpus[int(entry)] if int(entry) < len(gpus) else None
    if not entry.startswith(("GPU-", "MIG-")):
        return None
    matches = [gpu for gpu in gpus if gpu.uuid.lower().startswith(entry.lower())]
    if not matches and entry.startswith(
        "MIG-GPU-"
    ):  # the form of drivers before 470: MIG-GPU-<uuid>/<instance>/<compute>
        parent = entry.removeprefix("MIG-").partition("/")[0]
        matches = [gpu for gpu in gpus if gpu.mig_parent.lower() == parent.lower()][:1]
    return matches[0] if len(matches) == 1 else None


def _ambiguous_order(gpus: tuple[Gpu, ...], value: str, environment: Mapping[str, str]) -> bool:
    """An index means nothing certain when the cards differ and CUDA orders them by speed (its default)."""
    by_index = any(part.strip().isdigit() for part in value.split(","))
    mixed = len({gpu.name for gpu in gpus}) > 1
    return by_index and mixed and environment.get("CUDA_DEVICE_ORDER") != "PCI_BUS_ID"
