"""Sizes as polynomials: a probe model whose dimensions all differ, so that every tensor's shape can be read back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

Polynomial = dict[str, float]
"""Monomial ("H*S", symbols in order, "" for a constant) -> coefficient."""

TILE_COLUMNS = 32768


@dataclass(frozen=True)
class Probe:
    """The dimensions of a probe. `square` means that the hidden size is the width of all heads (GPT-2 and its like)."""

    batch: int = 1
    length: int = 1024
    heads: int = 21
    kv_heads: int = 7
    head_dim: int = 24
    hidden: int = 420
    inner: int = 1056
    vocab: int = 20011
    rank: int = 20
    rotary: int = 24
    experts: int = 18
    chosen: int = 6
    shared: int = 1300

    @property
    def rows(self) -> int:
        """Rows that reach the loss: all tokens but the last of each sequence."""
        return self.batch * (self.length - 1)


def make_probe(
    masked: bool, grouped: bool, square: bool, rotary_share: float, experts: bool = False, single: bool = False
) -> Probe:
    """A probe of the structure wanted: with an attention mask (several rows), with grouped queries, with H = heads x
    dim."""
    heads, kv_heads, head_dim = 21, 1 if single else 7 if grouped else 21, 24
    batch, length = (13, 256) if masked else (1, 1024)
    hidden = heads * head_dim if square else 672 if experts else 420  # grouped products want multiples of 8
    return Probe(batch, length, heads, kv_heads, head_dim, hidden, rotary=int(head_dim * rotary_share))


def dimension_table(probe: Probe) -> dict[int, Polynomial]:
    """What each number in a shape stands for."""
    query, key = probe.heads * probe.head_dim, probe.kv_heads * probe.head_dim
    table: dict[int, Polynomial] = {1: {"": 1.0}}

    def put(value: int, meaning: Polynomial) -> None:
        table.setdefault(value, meaning)

    sequence = "S" if probe.batch == 1 else "B*S"
    put(probe.batch * probe.length, {sequence: 1.0})
    put(probe.rows, {sequence: 1.0, "B" if probe.batch > 1 else "": -1.0})
    put(probe.length, {"S": 1.0})
    put(probe.length - 1, {"S": 1.0, "": -1.0})
    put(probe.batch, {"B": 1.0})
    put(probe.hidden, {"H": 1.0})
    put(3 * probe.hidden, {"H": 3.0})
    put(probe.inner, {"I": 1.0})
    put(2 * probe.inner, {"I": 2.0})
    put(probe.vocab, {"V": 1.0})
    put(query, {"Q": 1.0})
    put(key, {"K": 1.0})
    put(query + 2 * key, {"Q": 1.0, "K": 2.0})
    put(probe.batch * probe.length * probe.chosen, {f"{sequence}*k": 1.0})
    put(probe.shared, {"J": 1.0})
    put(probe.batch * probe.heads, {"B*n" if probe.batch > 1 else "n": 1.0})  # the plain product of attention
    put(probe.batch * probe.kv_heads, {"B*m" if probe.batch > 1 else "m": 1.0})
    put(probe.heads, {"n": 1.0})
    put(probe.kv_heads, {"m": 1.0})
    put(probe.head_dim, {"d": 1.0})
    put(3 * probe.head_dim, {"d": 3.0})
    put(probe.head_dim // 2, {"d": 0.5})
    put(probe.rotary, {"R": 1.0})
    put(probe.head_dim - probe.rotary, {"d": 1.0, "R": -1.0})
    put(probe.rotary // 2, {"R": 0.5})
    put(-(-probe.head_dim // 32) * 32, {"D": 1.0})
    put(probe.rank, {"r": 1.0})
    put(2 * probe.rank, {"r": 2.0})  # adapters of all experts of a block are one pair of matrices
    put(probe.experts * probe.rank, {"e*r": 1.0})
    put(2 * probe.experts * probe.rank, {"e*r": 2.0})
    put(probe.experts, {"e": 1.0})
    put(probe.chosen, {"k": 1.0})
    put(probe.heads // probe.kv_heads, {"g": 1.0})
    put(probe.heads // probe.kv_heads + 2, {"g": 1.0, "": 2.0})
    return table


def decode(shape: Sequence[int], table: dict[int, Polynomial], probe: Probe) -> Polynomial:
    """The number of elements of a shape as a polynomial. A tile of logits is N x C (or N x W, at most one tile
    wide)."""
    sizes = [int(size) for size in shape]
    tile = TILE_COLUMNS in sizes or (probe.vocab in sizes and probe.rows in sizes)
    result: Polynomial = {"": 1.0}
    for size in sizes:
        if tile and size == probe.rows:
            meaning: Polynomial = {"N": 1.0}
        elif tile and size in (TILE_COLUMNS, probe.vocab):
            meaning = {"C" if size == TILE_COLUMNS else "W": 1.0}
        else:
            meaning = table.get(size, {"": float(size)})
        result = multiply(result, meaning)
    return result


def multiply(left: Polynomial, right: Polynomial) -> Polynomial:
    """The product of two polynomials."""
    product: Polynomial = {}
    for first, a in left.items():
        for second, b in right.items():
            symbols = sorted(part for part in f"{first}*{second}".split("*") if part)
            name = "*".join(symbols)
            product[name] = product.get(name, 0.0) + a * b
    return product


def scaled(polynomial: Polynomial, factor: float) -> Polynomial:
    """A polynomial times a number."""
    return {name: value * factor for name, value in polynomial.items()}
