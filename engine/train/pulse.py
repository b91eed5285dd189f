"""The engine's second thread: it beats, and listens for requests and signals.

A signal handler of Python runs only when the main thread comes back from native code, which can take a long time in
the middle of a backward pass. So signals arrive here through a wake-up pipe, and are acted on at once.
"""

from __future__ import annotations

import os
import selectors
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

from engine.runs.control import Request, acknowledge, pending
from engine.runs.lock import EngineLock
from engine.runs.store import Run
from engine.train.exit_codes import EXIT_PEER_LOST, EXIT_STOPPED
from engine.train.orders import ENDING, Order, Orders
from engine.train.reporter import Reporter
from engine.train.resident import resident_bytes
from engine.train.stall import StallWatch
from engine.train.stance import AT_ONCE, Stance, decide
from engine.train.whereabouts import Whereabouts

POLL_SECONDS = 0.2
"""A request is answered within a second; a fifth of one costs nothing that can be measured."""
BEAT_SECONDS = 1.0
END_MARGIN_SECONDS, END_MARGIN_SHARE = 120.0, 0.1
"""A run stops so long before the end of its allocation by itself, when nobody told it earlier; of a short allocation
it gives up no more than this share."""
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
LAUNCHER = "TUNEWRIGHT_LAUNCHER"
"""The process id of the launcher, in the environment of each of several processes that it started."""


class Pulse(threading.Thread):
    """Started once by the engine. `memory_bytes` measures what the run holds; it is called once a second."""

    def __init__(self, run: Run, reporter: Reporter, orders: Orders, leads: bool = True) -> None:
        super().__init__(name="pulse", daemon=True)
        self._leads = leads
        """Whether requests and the run directory are this process's business: of several processes, one leads."""
        self._parent = os.getppid()
        self._last_call: float | None = None
        """When to stop by itself, in seconds since 1970, since the batch system ends this process soon after."""
        self.run_directory = run
        self.reporter = reporter
        self.orders = orders
        self.stance: Stance = "early"
        self.memory_bytes: Callable[[], int] = resident_bytes
        self._signals, self._signal_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._ending = threading.Event()
        self._before: dict[signal.Signals, Any] = {}
        self._stop_signals = 0
        self._stall = StallWatch(reporter)
        self._whereabouts = Whereabouts(run)
        self._moving = threading.Lock()
        self._rescue_lock: EngineLock | None = None

    def install(self) -> None:
        """Send stop signals to this thread. Must be called by the main thread, before `start`."""
        for number in STOP_SIGNALS:
            self._before[number] = signal.signal(number, lambda *_: None)  # the pipe carries the news
        self._before[signal.SIGHUP] = signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.set_wakeup_fd(self._signal_end, warn_on_full_buffer=False)

    def mind_the_end(self, allocation_end: float | None) -> None:
        """Stop, saved, before `allocation_end` (seconds since 1970). To be called before `start`."""
        if allocation_end is not None:
            left = max(0.0, allocation_end - time.time())
            self._last_call = allocation_end - min(END_MARGIN_SECONDS, END_MARGIN_SHARE * left)

    def finish(self) -> None:
        """Stop the thread, wait for it, and give the signals back. Must be called by the main thread."""
        self._ending.set()
        self.join(5 * BEAT_SECONDS)
        signal.set_wakeup_fd(-1)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        os.close(self._signals)
        os.close(self._signal_end)
        self._whereabouts.close()

    def run(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._signals, selectors.EVENT_READ)
            next_beat = time.monotonic()
            while not self._ending.is_set():
                try:
                    if selector.select(POLL_SECONDS):
                        self._read_signals()
                    if self._leads:
                        self._read_requests()
                    if time.monotonic() >= next_beat:
                        next_beat = time.monotonic() + BEAT_SECONDS
                        self._beat()
                except Exception:  # without this thread nobody could stop the run any more
                    traceback.print_exc()
                    time.sleep(POLL_SECONDS)

    def _beat(self) -> None:
        if LAUNCHER in os.environ and os.getppid() != self._parent:
            os._exit(EXIT_PEER_LOST)  # where the kernel does not end us with the launcher
        self.reporter.memory_bytes = self.memory_bytes()
        if self._leads:
            self.look_where()
            self._look_at_the_clock()
        self._stall.look()
        self.reporter.write_state()

    def _look_at_the_clock(self) -> None:
        near = self._last_call is not None and time.time() > self._last_call
        if near and self.stance == "training" and self.orders.ending is None:
            self.orders.give(Order("stop", source="the end of the allocation"))

    def _read_signals(self) -> None:
        for number in os.read(self._signals, 64):
            if number not in STOP_SIGNALS:
                continue
            self._stop_signals += 1
            name = signal.Signals(number).name
            if self._stop_signals > 1:
                self._leave_by_signal(f"A second {name} ended the run at once.")
            if self.stance in AT_ONCE:
                self._leave_by_signal(f"{name} ended the run {AT_ONCE[self.stance]}")
            if self.stance == "training":
                self.orders.give(Order("stop", source=name))

    def _read_requests(self) -> None:
        for request in pending(self.run_directory):
            self.answer(request)

    def answer(self, request: Request) -> None:
        """Accept or refuse one request. The event comes first: a request is removed only when it has its answer."""
        accepted, detail = decide(request, self.stance, self.orders)
        self.reporter.event("control", durable=True, id=request.identity, action=request.action, accepted=accepted,
                            detail=detail)  # fmt: skip
        acknowledge(self.run_directory, request.identity)
        if accepted and self.stance in AT_ONCE and request.action in ENDING:
            self.leave(f"Asked to {request.action} {AT_ONCE[self.stance]}")

    def _leave_by_signal(self, detail: str) -> None:
        """One of several processes leaves the last word to the launcher: it ends them all when one has died, too."""
        if LAUNCHER in os.environ:
            sys.stderr.write(f"{detail}\n")
            sys.stderr.flush()
            os._exit(EXIT_STOPPED)
        self.leave(detail)

    def leave(self, detail: str) -> None:
        """End the process from here, without waiting for the main thread. Whatever is half written is never read."""
        self.reporter.end("stopped", detail)
        sys.stderr.flush()
        os._exit(EXIT_STOPPED)

    def look_where(self) -> None:
        """Follow a run directory that was moved; for a deleted one make another and end the run there, saved.

        The main thread calls it too, when it finds no place to save to. Raises OSError when nothing can be made.
        """
        with self._moving:
            where = self._whereabouts.now(self.run_directory.path)
            if where == self.run_directory.path:
                return
            if where is not None:
                self._settle(Run(where), fresh_log=False)
                self.reporter.warning("The folder of the run was moved while it was going on.", str(where),
                                      "It goes on there.", kind="moved")  # fmt: skip
                return
            gone = self.run_directory.path
            rescue = self._whereabouts.rescue()
            self._rescue_lock = EngineLock(rescue).__enter__()
            self._settle(rescue, fresh_log=True)
            self._whereabouts.adopt(rescue)
        self.reporter.warning("The folder of the run was deleted while it was going on.", str(gone),
                              f"What the engine still held is saved in {rescue.path}.", kind="deleted")  # fmt: skip
        if self.stance in AT_ONCE:
            self.leave("The folder of the run was deleted.")
        self.orders.give(Order("stop", source="the deletion of its folder"))

    def _settle(self, run: Run, fresh_log: bool) -> None:
        self.run_directory = run
        self.reporter.move(run, fresh_log)
