"""Batches over arrays, streams and loaders; checks of the data before training."""

from onstage.data._arrays import as_batches, split_validation
from onstage.data._sequence import PyDataset, Sequence
from onstage.data._source import SourceBatches, known_length
from onstage.data._validation import (
    as_array,
    as_sample_weights,
    choose_batch_size,
    class_weight_to_sample_weights,
    label_range,
    name_parts,
    parse_class_weight,
    reject_array_arguments,
    warn_if_nan,
)

__all__ = [
    "PyDataset",
    "Sequence",
    "SourceBatches",
    "as_array",
    "as_batches",
    "as_sample_weights",
    "choose_batch_size",
    "class_weight_to_sample_weights",
    "known_length",
    "label_range",
    "name_parts",
    "parse_class_weight",
    "reject_array_arguments",
    "split_validation",
    "warn_if_nan",
]
