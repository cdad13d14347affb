"""A DataLoader's share for one of several processes."""

from __future__ import annotations

from typing import Any

from torch.utils.data import DataLoader, DistributedSampler, RandomSampler, SequentialSampler


def sharded(
    loader: DataLoader[Any], rank: int, world: int, seed: int, *, training: bool, name: str
) -> DataLoader[Any]:
    """Make the loader of one process's samples.

    In training the samples go by a DistributedSampler, which repeats a few so
    that all processes have as many. In an evaluation each sample counts once.

    Parameters
    ----------
    seed
        Of the order, the same in all processes.
    name
        What the user calls the data.

    Raises
    ------
    ValueError
        Its sampler isn't one of torch's own, so that nobody knows how to divide it.
    """
    sampler = loader.sampler
    if isinstance(sampler, DistributedSampler):
        return loader
    if loader.batch_size is None or not isinstance(sampler, RandomSampler | SequentialSampler):
        kind = type(sampler if loader.batch_size else loader.batch_sampler).__name__
        raise ValueError(
            f"{name} must have a DistributedSampler, or one of torch's plain samplers, where there are "
            f"several processes, got {kind}; make it give each process its own part"
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
        batch_size=loader.batch_size,
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
