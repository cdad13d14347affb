"""The processes that train together: what they share, and where they agree."""

from __future__ import annotations

import atexit
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, ClassVar
from weakref import WeakSet

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from onstage_torch.metrics.accumulator import TorchMetricAccumulator

if dist.is_available():
    # Imported later, its functions would hold the group as their default for good.
    import torch.distributed.nn.functional

_AS_IT_IS = nullcontext()


class ProcessGroup:
    """This process among those of the training; the only one, as a rule.

    Parameters
    ----------
    device
        Where this process computes.
    rank, world
        Its number, from 0, and how many there are.
    """

    # The process's, as the group of torch is: several models share both.
    _store: ClassVar[Any] = None
    _trainings: ClassVar[int] = 0
    _wrapped: ClassVar[WeakSet[DistributedDataParallel]] = WeakSet()

    def __init__(self, device: torch.device, rank: int = 0, world: int = 1) -> None:
        self.device = device
        self.rank = rank
        self.world = world

    @classmethod
    def of_process(cls, device: str | torch.device) -> ProcessGroup:
        """Join the processes that torchrun started, or that a program has joined.

        Parameters
        ----------
        device
            ``"auto"``: this process's GPU where there are GPUs, else the CPU.
        """
        place = _device(device)
        if not dist.is_available():
            return cls(place)
        if not dist.is_initialized() and int(os.environ.get("WORLD_SIZE", "1")) > 1:
            cls._join(place)
        if not dist.is_initialized():
            return cls(place)
        return cls(place, dist.get_rank(), dist.get_world_size())

    @classmethod
    def _join(cls, place: torch.device) -> None:
        if place.type == "cuda":
            torch.cuda.set_device(place)
        # Imported late: torch may have been built without them.
        from torch.distributed.distributed_c10d import PrefixStore
        from torch.distributed.rendezvous import rendezvous

        store, rank, world = next(rendezvous("env://"))
        # torchrun keeps one store over its restarts: without a prefix the new
        # processes would find the addresses of the dead ones.
        attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
        cls._store = PrefixStore(f"onstage/attempt {attempt} of {world}", store)
        dist.init_process_group(
            "nccl" if place.type == "cuda" else "gloo", store=cls._store, rank=rank, world_size=world
        )
        atexit.register(_leave)

    def wrap(self, module: Any, options: Mapping[str, Any]) -> Any:
        """Wrap the module in one that shares gradients with the other processes."""
        places = [self.device] if self.device.type == "cuda" else None
        wrapped = DistributedDataParallel(module, device_ids=places, **options)
        ProcessGroup._wrapped.add(wrapped)
        return wrapped

    def sync_batchnorm(self, module: nn.Module) -> nn.Module:
        """Return the module with batch normalizations over all processes.

        Raises
        ------
        ValueError
            The processes compute on the CPU, where torch has none.
        """
        if self.world == 1:
            return module
        if self.device.type == "cpu":
            raise ValueError(
                "sync_batchnorm must be False on the CPU, where torch has no SyncBatchNorm; "
                "use GPUs, or a normalization that does not depend on the batch"
            )
        converted: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(module)
        return converted

    def syncing(self, network: Any, *, last: bool) -> AbstractContextManager[Any]:
        """Give the context of a batch: its gradients are shared if it is a step's last."""
        return _AS_IT_IS if last or self.world == 1 else network.no_sync()

    def average(self, gradients: list[Tensor]) -> None:
        """Average gradients that were not shared batch by batch."""
        if self.world > 1:
            for gradient in gradients:
                dist.all_reduce(gradient)
            torch._foreach_div_(gradients, float(self.world))

    def shard(self, batches: Any, seed: int, *, training: bool) -> None:
        """Give each process its part of the data.

        Raises
        ------
        ValueError
            The parts would not be of as many batches, or nobody knows how to divide.
        """
        if self.world == 1:
            return
        batches.shard(self.rank, self.world, seed, training=training)
        if training and not self.all_equal(batches.steps):
            raise ValueError(
                f"x must give as many batches in each of the {self.world} processes, got {batches.steps} "
                f"in process {self.rank} and another number elsewhere"
            )

    def all_reduce(self, accumulator: TorchMetricAccumulator) -> None:
        """Give every process the metrics over the samples of all."""
        if self.world > 1:
            packed = accumulator.pack()
            dist.all_reduce(packed)
            accumulator.unpack(packed)
            for each in accumulator.objects.values():
                each.join()

    def broadcast(self, tensors: Iterable[Tensor]) -> None:
        """Give every process the first one's values, in place."""
        if self.world > 1:
            for tensor in tensors:
                dist.broadcast(tensor.detach(), 0)

    def sum(self, number: Tensor) -> Tensor:
        """Return the sum of a number over all processes."""
        total = number.detach().clone()
        dist.all_reduce(total)
        return total

    def first_rank_stopping(self, wishes: bool) -> int | None:
        """Tell which process wishes to stop, the lowest of them; None if none."""
        number = torch.tensor(self.rank if wishes else self.world, device=self.device)
        if self.world > 1:
            dist.all_reduce(number, dist.ReduceOp.MIN)
        found = int(number)
        return None if found == self.world else found

    def broadcast_int(self, number: int) -> int:
        """Give every process the first one's number."""
        if self.world == 1:
            return number
        shared = torch.tensor(number, device=self.device)
        dist.broadcast(shared, 0)
        return int(shared)

    def all_equal(self, number: int) -> bool:
        """Tell whether all processes came with the same number."""
        if self.world == 1:
            return True
        ends = torch.tensor([number, -number], device=self.device)
        dist.all_reduce(ends, dist.ReduceOp.MAX)
        return int(ends[0]) == -int(ends[1])

    @contextmanager
    def barrier_on_exit(self) -> Iterator[None]:
        """End together: all go on when all have come, or each learns whose error it was."""
        if self.world == 1:
            yield
            return
        ProcessGroup._trainings += 1
        try:
            yield
        except BaseException as error:
            # The others would wait for this process: leave without goodbye.
            atexit.unregister(_leave)
            self._tell(error)
            raise
        dist.barrier()

    def _tell(self, error: BaseException) -> None:
        """Publish an error, or note on it the one that another process published."""
        if ProcessGroup._store is None:  # The program has made the group, and keeps its store.
            return
        text = f"process {self.rank} of {self.world}: {type(error).__name__}: {error}"
        try:
            told = ProcessGroup._store.compare_set(f"error in training {ProcessGroup._trainings}", "", text)
        except RuntimeError:  # Whoever kept the store is gone; that error has been shown.
            return
        first = told.decode(errors="replace")
        if first != text:
            error.add_note(f"what failed first was {first}")


def _device(given: str | torch.device) -> torch.device:
    if given != "auto":
        return torch.empty(0, device=given).device  # "cuda" with its index, as tensors have it
    if torch.cuda.is_available():
        local = int(os.environ.get("LOCAL_RANK", "0"))
        return torch.device("cuda", local % torch.cuda.device_count())
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def _leave() -> None:
    _let_go()
    if dist.is_initialized():
        dist.destroy_process_group()


@atexit.register
def _let_go() -> None:
    """Let the wrappers of models that still live go of their group, whose threads end with it.

    One of those may have a tensor to give back: when there is no interpreter
    left it would abort the process.
    """
    groups = [vars(wrapped).pop("process_group", None) for wrapped in ProcessGroup._wrapped]
    for wrapped in ProcessGroup._wrapped:
        vars(wrapped).clear()
    # Last, and from Python: joining the threads in a reducer's end, with the
    # interpreter held, would wait for ever for one that needs it.
    del groups
