"""A replica of torch's CUDA caching allocator: what it reserves for a run's requests, and the least it can live with.

Follows c10/cuda/CUDACachingAllocator.cpp (torch 2.13) at its default settings on one stream: sizes in steps of 512
bytes;
requests up to 1 MiB from segments of 2 MiB, up to 10 MiB from segments of 20 MiB, larger ones in steps of 2 MiB; the
smallest free block that fits; a large block is split only when more than 1 MiB would remain; free neighbours merge.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass, field

MIB = 1 << 20
STEP = 512
SMALL_LIMIT, SMALL_SEGMENT = MIB, 2 * MIB
MEDIUM_LIMIT, MEDIUM_SEGMENT = 10 * MIB, 20 * MIB
LARGE_STEP = 2 * MIB
_FAR_APART = 1 << 40  # segments never touch, so that blocks of two of them cannot merge

Trace = Sequence[tuple[int, int]]
"""(number of a request, its bytes), or (number, -1) where that request's memory is given back."""


class OutOfMemory(Exception):
    """A request that did not fit into the capacity, even after unused segments were given back."""


@dataclass
class _Block:
    size: int
    small: bool
    previous: int | None
    following: int | None
    free: bool = True


@dataclass
class CachingAllocator:
    """Serves requests and keeps count. `capacity` is the memory of the device in bytes, None for unlimited."""

    capacity: int | None = None
    allocated: int = 0
    reserved: int = 0
    peak_allocated: int = 0
    peak_reserved: int = 0
    _blocks: dict[int, _Block] = field(default_factory=dict)
    _free: dict[bool, list[tuple[int, int]]] = field(default_factory=lambda: {True: [], False: []})
    _next_address: int = 0

    def allocate(self, size: int) -> int:
        """Memory for `size` bytes; returns its address. Raises OutOfMemory when it does not fit into the capacity."""
        size = max(STEP, -(-size // STEP) * STEP)
        small = size <= SMALL_LIMIT
        address = self._best_fit(size, small)
        if address is None:
            address = self._new_segment(size, small)
        self._split(address, size, small)
        block = self._blocks[address]
        block.free = False
        self.allocated += block.size
        self.peak_allocated = max(self.peak_allocated, self.allocated)
        return address

    def release(self, address: int) -> None:
        """Give the memory at `address` back to the cache."""
        block = self._blocks[address]
        self.allocated -= block.size
        pool = self._free[block.small]
        if block.following is not None and self._blocks[block.following].free:
            self._swallow(address, block.following, pool)
        if block.previous is not None and self._blocks[block.previous].free:
            before = block.previous
            pool.pop(bisect.bisect_left(pool, (self._blocks[before].size, before)))
            self._join(before, address)
            address, block = before, self._blocks[before]
        block.free = True
        bisect.insort(pool, (block.size, address))

    def release_unused_segments(self) -> None:
        """What the real allocator does before it reports out of memory: return every segment that is wholly free."""
        for small, pool in self._free.items():
            kept = []
            for size, address in pool:
                block = self._blocks[address]
                if block.previous is None and block.following is None:
                    self.reserved -= size
                    del self._blocks[address]
                else:
                    kept.append((size, address))
            self._free[small] = kept

    def _best_fit(self, size: int, small: bool) -> int | None:
        pool = self._free[small]
        place = bisect.bisect_left(pool, (size, -1))
        return pool.pop(place)[1] if place < len(pool) else None

    def _new_segment(self, size: int, small: bool) -> int:
        if small:
            segment = SMALL_SEGMENT
        else:
            segment = MEDIUM_SEGMENT if size < MEDIUM_LIMIT else -(-size // LARGE_STEP) * LARGE_STEP
        if self.capacity is not None and self.reserved + segment > self.capacity:
            self.release_unused_segments()
            if self.reserved + segment > self.capacity:
                raise OutOfMemory(f"{segment} bytes more than {self.reserved} reserved of {self.capacity}")
        address = self._next_address
        self._next_address += segment + _FAR_APART
        self._blocks[address] = _Block(segment, small, None, None)
        self.reserved += segment
        self.peak_reserved = max(self.peak_reserved, self.reserved)
        return address

    def _split(self, address: int, size: int, small: bool) -> None:
        block = self._blocks[address]
        left = block.size - size
        if not (left >= STEP if small else left > SMALL_LIMIT):
            return
        rest = address + size
        self._blocks[rest] = _Block(left, small, address, block.following)
        if block.following is not None:
            self._blocks[block.following].previous = rest
        block.following, block.size = rest, size
        bisect.insort(self._free[small], (left, rest))

    def _swallow(self, address: int, following: int, pool: list[tuple[int, int]]) -> None:
        pool.pop(bisect.bisect_left(pool, (self._blocks[following].size, following)))
        self._join(address, following)

    def _join(self, address: int, following: int) -> None:
        block, gone = self._blocks[address], self._blocks.pop(following)
        block.size += gone.size
        block.following = gone.following
        if gone.following is not None:
            self._blocks[gone.following].previous = address


def replay(trace: Trace, capacity: int | None = None, loaded: int = 0) -> CachingAllocator:
    """Serve a recorded run again; the peak of what is allocated counts from entry `loaded` of the trace on.

    Raises OutOfMemory when it does not fit into `capacity`.
    """
    allocator = CachingAllocator(capacity)
    places: dict[int, int] = {}
    for index, (number, size) in enumerate(trace):
        if index == loaded:
            allocator.peak_allocated = allocator.allocated
        if size < 0:
            allocator.release(places.pop(number))
        else:
            places[number] = allocator.allocate(size)
    return allocator


def least_capacity(trace: Trace, precision: int = 8 * MIB) -> int:
    """The smallest device memory (bytes for the allocator) in which the recorded run does not run out, by bisection."""
    unlimited = replay(trace)
    low, high = unlimited.peak_allocated, unlimited.peak_reserved
    while high - low > precision:
        middle = (low + high) // 2
        try:
            replay(trace, middle)
            high = middle
        except OutOfMemory:
            low = middle
    return high
