"""The group of processes that train together."""

from __future__ import annotations

import atexit
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, ClassVar, Literal, TypeAlias
from weakref import WeakSet

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from onstage_torch.metrics.accumulator import TorchMetricAccumulator

if dist.is_available():
    # If imported later, its functions would keep the group as their default forever.
    import torch.distributed.nn.functional

_NO_CONTEXT = nullcontext()

Uneven: TypeAlias = Literal["error", "shortest"]
"""If processes have different numbers of batches: raise, or end the epoch with the first."""


class ProcessGroup:
    """This process and the others of its training; usually there are no others.

    Parameters
    ----------
    device
        Device of this process.
    rank, world
        Its number, from 0, and the number of processes.
    """

    # One for the process, as torch's group is: several models share both.
    _store: ClassVar[Any] = None
    _trainings: ClassVar[int] = 0
    _wrapped: ClassVar[WeakSet[DistributedDataParallel]] = WeakSet()

    def __init__(self, device: torch.device, rank: int = 0, world: int = 1) -> None:
        self.device = device
        self.rank = rank
        self.world = world

    @classmethod
    def of_process(cls, device: str | torch.device) -> ProcessGroup:
        """Return the group that torchrun started, or that the program has joined.

        Parameters
        ----------
        device
            ``"auto"``: this process's GPU if there is one, else the CPU.
        """
        target = _resolve_device(device)
        if not dist.is_available():
            return cls(target)
        if not dist.is_initialized() and int(os.environ.get("WORLD_SIZE", "1")) > 1:
            cls._join(target)
        return cls.current(target)

    @classmethod
    def current(cls, device: torch.device) -> ProcessGroup:
        """Return the group that the program has joined; this process alone before."""
        if not dist.is_available() or not dist.is_initialized():
            return cls(device)
        return cls(device, dist.get_rank(), dist.get_world_size())

    @classmethod
    def _join(cls, device: torch.device) -> None:
        if device.type == "cuda":
            torch.cuda.set_device(device)
        # Imported late: torch may have been built without these.
        from torch.distributed.distributed_c10d import PrefixStore
        from torch.distributed.rendezvous import rendezvous

        store, rank, world = next(rendezvous("env://"))
        # torchrun keeps one store over its restarts: without a prefix the new
        # processes would read the addresses of the dead ones.
        attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
        cls._store = PrefixStore(f"onstage/attempt {attempt} of {world}", store)
        dist.init_process_group(
            "nccl" if device.type == "cuda" else "gloo", store=cls._store, rank=rank, world_size=world
        )
        atexit.register(_destroy)

    def wrap(self, module: Any, options: Mapping[str, Any]) -> Any:
        """Return the module wrapped to average gradients over all processes."""
        devices = [self.device] if self.device.type == "cuda" else None
        wrapped = DistributedDataParallel(module, device_ids=devices, **options)
        ProcessGroup._wrapped.add(wrapped)
        return wrapped

    def sync_batchnorm(self, module: nn.Module) -> nn.Module:
        """Return the module with batch normalizations over all processes.

        Raises
        ------
        ValueError
            If the processes compute on the CPU, where torch has no such layer.
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
        """Return the context of a batch: gradients are shared only in a step's last."""
        return _NO_CONTEXT if last or self.world == 1 else network.no_sync()

    def average(self, gradients: list[Tensor]) -> None:
        """Average gradients, in place, that were not shared batch by batch."""
        if self.world > 1:
            for gradient in gradients:
                dist.all_reduce(gradient)
            torch._foreach_div_(gradients, float(self.world))

    def shard(self, batches: Any, seed: int, *, training: bool, uneven: Uneven) -> None:
        """Keep this process's part of the data.

        Raises
        ------
        ValueError
            If the parts differ in their number of batches, or can't be divided.
        """
        if self.world == 1:
            return
        agree = self.all_true if uneven == "shortest" else None
        batches.shard(self.rank, self.world, seed, training=training, agree=agree)
        if training and agree is None and not self.all_equal(batches.steps):
            raise ValueError(
                f"x must yield as many batches in each of the {self.world} processes, got {batches.steps} "
                f"in process {self.rank} and another number in others; "
                "uneven='shortest' ends the epoch with the first"
            )

    def all_reduce(self, accumulator: TorchMetricAccumulator) -> None:
        """Replace the sums, in every process, by those over the samples of all."""
        if self.world > 1:
            packed = accumulator.pack()
            dist.all_reduce(packed)
            accumulator.unpack(packed)
            for each in accumulator.objects.values():
                each.combine()

    def broadcast(self, tensors: Iterable[Tensor]) -> None:
        """Copy rank 0's values to every process, in place."""
        if self.world > 1:
            for tensor in tensors:
                dist.broadcast(tensor.detach(), 0)

    def sum(self, number: Tensor) -> Tensor:
        """Return the sum of a number over all processes."""
        total = number.detach().clone()
        dist.all_reduce(total)
        return total

    def first_rank_stopping(self, stopping: bool) -> int | None:
        """Return the lowest rank that is stopping; None if none is."""
        number = torch.tensor(self.rank if stopping else self.world, device=self.device)
        if self.world > 1:
            dist.all_reduce(number, dist.ReduceOp.MIN)
        found = int(number)
        return None if found == self.world else found

    def broadcast_int(self, number: int) -> int:
        """Return rank 0's number, in every process."""
        if self.world == 1:
            return number
        shared = torch.tensor(number, device=self.device)
        dist.broadcast(shared, 0)
        return int(shared)

    def draw_seed(self) -> int:
        """Return a seed from rank 0's generator, in every process."""
        return self.broadcast_int(int(torch.randint(2**62, ())))

    def all_equal(self, number: int) -> bool:
        """Return whether the number is the same in all processes."""
        if self.world == 1:
            return True
        ends = torch.tensor([number, -number], device=self.device)
        dist.all_reduce(ends, dist.ReduceOp.MAX)
        return int(ends[0]) == -int(ends[1])

    def all_true(self, flag: bool) -> bool:
        """Return whether a flag is set in all processes. Waits for the device."""
        return self.first_rank_stopping(not flag) is None

    @contextmanager
    def barrier_on_exit(self) -> Iterator[None]:
        """Wait for all processes at the end; after an error, note in each which came first."""
        if self.world == 1:
            yield
            return
        ProcessGroup._trainings += 1
        try:
            yield
        except BaseException as error:
            # The others would wait for this process: exit without destroying the group.
            atexit.unregister(_destroy)
            self._publish(error)
            raise
        dist.barrier()

    def _publish(self, error: BaseException) -> None:
        """Publish an error; if another process was first, note its error on this one."""
        if ProcessGroup._store is None:  # The program made the group, and keeps its store.
            return
        text = f"process {self.rank} of {self.world}: {type(error).__name__}: {error}"
        try:
            first = ProcessGroup._store.compare_set(f"error in training {ProcessGroup._trainings}", "", text)
        except RuntimeError:  # The process with the store has ended, and shown its error.
            return
        earliest = first.decode(errors="replace")
        if earliest != text:
            error.add_note(f"the first error was in {earliest}")


def _resolve_device(given: str | torch.device) -> torch.device:
    if not isinstance(given, str | torch.device | int) or isinstance(given, bool):
        raise TypeError(
            f"device must be one device, such as 'cuda:0', or 'auto', got {given!r}; "
            "for several GPUs start one process for each with torchrun"
        )
    if given != "auto":
        return torch.empty(0, device=given).device  # "cuda" with its index, as tensors have it
    if torch.cuda.is_available():
        local = int(os.environ.get("LOCAL_RANK", "0"))
        return torch.device("cuda", local % torch.cuda.device_count())
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def _destroy() -> None:
    _release_group()
    if dist.is_initialized():
        dist.destroy_process_group()


@atexit.register
def _release_group() -> None:
    """Drop the DDP wrappers' references to the group while the interpreter is alive.

    Its worker threads would otherwise release tensors after finalization, and
    abort the process: https://github.com/pytorch/pytorch/issues/190489.
    """
    groups = [vars(wrapped).pop("process_group", None) for wrapped in ProcessGroup._wrapped]
    for wrapped in ProcessGroup._wrapped:
        vars(wrapped).clear()
    # Last, and from Python: a reducer's destructor would join the threads while
    # it holds the interpreter, and wait forever for a thread that needs it.
    del groups
