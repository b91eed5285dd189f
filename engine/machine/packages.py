"""Whether the training packages are installed; the program starts and plans without them."""

from __future__ import annotations

import shlex
import sys
from importlib.metadata import PackageNotFoundError, requires
from importlib.util import find_spec

from engine.errors import UserError

TRAINING_PACKAGES = ("torch", "transformers", "trl", "peft", "accelerate", "datasets", "bitsandbytes")
DISTRIBUTION = "tunewright"


def install_command(*names: str) -> str:
    """The command that installs `names` (without any: everything that training needs) into this Python.

    It names the packages with their tested ranges and not this program's extra: a copy that was installed from a
    checkout is on no index, and another's package of the same name would be fetched.
    """
    ranges = _declared_ranges()
    wanted = [name + ranges.get(name, "") for name in names or TRAINING_PACKAGES]
    return shlex.join([sys.executable or "python", "-m", "pip", "install", *wanted])


def _declared_ranges() -> dict[str, str]:
    """Package -> version range as this distribution declares it; empty when it is not installed as one."""
    try:
        lines = requires(DISTRIBUTION) or []
    except PackageNotFoundError:
        return {}
    found: dict[str, str] = {}
    for line in lines:
        requirement = line.partition(";")[0].strip()
        name = next((known for known in (*TRAINING_PACKAGES, "deepspeed") if requirement.startswith(known)), "")
        rest = requirement.removeprefix(name)
        if name and rest[:1] in "<>=!~":
            found[name] = rest
    return found


def missing_training_packages() -> tuple[str, ...]:
    """Names of the training packages that are not installed; nothing is imported, so this takes about a millisecond."""
    return tuple(name for name in TRAINING_PACKAGES if not is_installed(name))


def require_training_packages() -> None:
    """UserError with the exact command when something that training needs is missing."""
    missing = missing_training_packages()
    if missing:
        raise UserError(
            f"Training needs packages that are not installed: {', '.join(missing)}.",
            "this Python environment",
            f"Install them with: {install_command()}",
        )


def has_deepspeed() -> bool:
    """Whether DeepSpeed is installed, with which a model can be divided in more ways."""
    return is_installed("deepspeed")


def require_deepspeed() -> None:
    """UserError with the exact command when DeepSpeed is missing."""
    if not has_deepspeed():
        fix = f"Install it with: {install_command('deepspeed')} - or use --set training.sharding=fsdp2 or none."
        raise UserError("training.sharding asks for DeepSpeed, which is not installed.", "training.sharding", fix)


def is_installed(name: str) -> bool:
    """Whether a package could be imported; it is not."""
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):  # a half-removed package counts as missing
        return False
