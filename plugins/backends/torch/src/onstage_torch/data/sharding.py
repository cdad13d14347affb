"""One process's share of a DataLoader."""

from __future__ import annotations

from typing import Any

from torch.utils.data import DataLoader, DistributedSampler, RandomSampler, SequentialSampler


def shard_loader(
    loader: DataLoader[Any],
    rank: int,
    world: int,
    seed: int,
    *,
    training: bool,
    name: str,
    batch_size: int | None = None,
) -> DataLoader[Any]:
    """Return a loader of one process's samples.

    In training the samples are divided by a DistributedSampler, which repeats
    a few so that all processes have equally many. In an evaluation each sample
    counts once.

    Parameters
    ----------
    seed
        Seed of the order, equal in all processes.
    name
        User's name of the data.
    batch_size
        Of each process; None for the loader's own.

    Raises
    ------
    ValueError
        If its sampler is not one of torch's own, whose samples can be divided.
    """
    sampler = loader.sampler
    if isinstance(sampler, DistributedSampler):
        return loader
    if loader.batch_size is None or not isinstance(sampler, RandomSampler | SequentialSampler):
        kind = type(sampler if loader.batch_size else loader.batch_sampler).__name__
        raise ValueError(
            f"{name} must have a DistributedSampler, or one of torch's plain samplers, with several "
            f"processes, got {kind}; make it yield each process its own part"
        )
    dataset: Any = loader.dataset
    if training:
        shuffle = isinstance(sampler, RandomSampler)
        own: Any = DistributedSampler(dataset, world, rank, shuffle, seed=seed, drop_last=loader.drop_last)
    elif len(dataset) < world:
        return loader  # Too few to divide: all measure all, and the means are the same.
    else:
        own = range(rank, len(dataset), world)
    return DataLoader(
        dataset,
        batch_size=batch_size or loader.batch_size,
        sampler=own,
        num_workers=loader.num_workers,
        collate_fn=loader.collate_fn,
        pin_memory=loader.pin_memory,
        drop_last=loader.drop_last and training,
        timeout=loader.timeout,
        worker_init_fn=loader.worker_init_fn,
        multiprocessing_context=loader.multiprocessing_context,
        generator=loader.generator,
        prefetch_factor=loader.prefetch_factor if loader.num_workers else None,
        persistent_workers=loader.persistent_workers,
    )
