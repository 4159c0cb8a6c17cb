"""Copies of a training's states, made while it goes on."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

import torch


class Copies:
    """Copies of states in main memory, which is used again: to map it anew takes longer than to copy.

    On a GPU a stream of their own makes them, into pinned memory, and computing goes on meanwhile.
    """

    def __init__(self, device: torch.device) -> None:
        self.buffers: list[torch.Tensor] = []
        self.stream = torch.cuda.Stream(device) if device.type == "cuda" else None

    def begin(self) -> None:
        """Have the next copies come after all that the calling thread has given the device to do."""
        if self.stream:
            self.stream.wait_stream(torch.cuda.current_stream(self.stream.device))

    def of(self, states: Any) -> Any:
        """The same states with these tensors, each as large as it looks and no more; those of before are lost.

        Any thread may call this, after `begin`; when it returns the copies are whole.
        """
        before, self.buffers = iter(self.buffers), []
        if not self.stream:
            return self._of(states, before)
        with torch.cuda.stream(self.stream):
            copies = self._of(states, before)
        self.stream.synchronize()
        return copies

    def _of(self, state: Any, before: Iterator[torch.Tensor]) -> Any:
        if not isinstance(state, torch.Tensor):
            return rebuilt(state, lambda each: self._of(each, before))
        buffer = next(before, None)
        if buffer is None or buffer.shape != state.shape or buffer.dtype != state.dtype:
            buffer = torch.empty(state.shape, dtype=state.dtype, pin_memory=state.is_cuda)
        self.buffers.append(buffer.copy_(state.detach(), non_blocking=True))
        return buffer


def rebuilt(state: Any, of_each: Any) -> Any:
    """A dictionary, list or tuple with something else in place of each value; what is none of these, as it is."""
    if type(state) in (dict, OrderedDict):
        return type(state)((key, of_each(value)) for key, value in state.items())
    if type(state) in (list, tuple):
        return type(state)(of_each(value) for value in state)
    return state
