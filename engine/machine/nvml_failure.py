"""Why NVML did not start, in words that say what to do."""

from __future__ import annotations

from pathlib import Path

# NVML return codes (nvml.h); pynvml carries them in the exception's `value`.
_DRIVER_NOT_LOADED = 9
_LIBRARY_NOT_FOUND = 12
_MISMATCH = 18
_NO_PERMISSION = 4


def explain_nvml_failure(error: Exception) -> str:
    """Why NVML did not start, in words that say what to do."""
    code = getattr(error, "value", None)
    if code == _LIBRARY_NOT_FOUND:
        if nvidia_card_present():
            return (
                "An NVIDIA card is in this machine but no driver is installed: install the NVIDIA driver, then "
                "start again."
            )
        return "No NVIDIA driver is installed and no NVIDIA card was found."
    if code == _DRIVER_NOT_LOADED:
        return (
            "The NVIDIA library is here but the kernel driver is not loaded: run nvidia-smi to see why, or restart "
            "the machine."
        )
    if code == _MISMATCH:
        return (
            "The NVIDIA library and the loaded kernel driver have different versions: the driver was updated while it "
            "was running. Restart the machine (or reload the nvidia kernel modules)."
        )
    if code == _NO_PERMISSION:
        return "This user may not read the NVIDIA driver: check the permissions of /dev/nvidiactl and /dev/nvidia0."
    return f"The NVIDIA driver did not start: {error}."


def nvidia_card_present(pci: Path = Path("/sys/bus/pci/devices")) -> bool:
    """True when the PCI bus shows an NVIDIA display or 3D controller (vendor 0x10de, class 0x03....)."""
    for device in pci.glob("*"):
        try:
            vendor = (device / "vendor").read_text().strip()
            kind = (device / "class").read_text().strip()
        except OSError:
            continue
        if vendor == "0x10de" and kind.startswith("0x03"):
            return True
    return False
