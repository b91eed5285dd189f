"""Run as a program by an interpreter that has llama-cpp-python: `gguf_quantize.py SOURCE TARGET TYPE` writes k-quants.

Imports nothing of this program.
"""

from __future__ import annotations

import ctypes
import sys


def main(arguments: list[str]) -> int:
    """Quantize and return llama.cpp's code, 0 when it went well."""
    import llama_cpp  # type: ignore[import-not-found]

    source, target, kind = arguments
    parameters = llama_cpp.llama_model_quantize_default_params()
    parameters.ftype = getattr(llama_cpp, f"LLAMA_FTYPE_MOSTLY_{kind.upper()}")
    parameters.nthread = 1
    done = llama_cpp.llama_model_quantize(source.encode(), target.encode(), ctypes.byref(parameters))
    return int(done)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
