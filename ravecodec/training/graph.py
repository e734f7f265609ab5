"""A training step recorded once as a CUDA graph and replayed: the card is not kept waiting for Python."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

WARM_UP = 11  # steps before the recording: what is made once (plans, workspaces, choices of kernels) is made there


class RecordedStep:
    """Calls `step`, which takes a batch of one shape to its losses and waits for nothing that the card works out.

    The losses of a replay are the same tensors every time: read them before the next.
    """

    def __init__(self, step: Callable[[Tensor], dict[str, Tensor]]) -> None:
        self.step = step
        self.calls = 0
        self.stream = torch.cuda.Stream()
        self.graph: torch.cuda.CUDAGraph | None = None
        self.batch: Tensor | None = None
        self.losses: dict[str, Tensor] = {}

    def __call__(self, batch: Tensor) -> dict[str, Tensor]:
        """Take a step with a batch on the card."""
        self.calls += 1
        if self.graph is None:
            if self.calls <= WARM_UP:
                self.stream.wait_stream(torch.cuda.current_stream())
                with torch.cuda.stream(self.stream):
                    losses = self.step(batch)
                torch.cuda.current_stream().wait_stream(self.stream)
                return losses
            self.batch = batch.clone()
            self.graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self.graph):
                self.losses = self.step(self.batch)
        assert self.batch is not None
        self.batch.copy_(batch)
        self.graph.replay()
        return self.losses
