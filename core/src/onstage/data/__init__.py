"""Data: arrays, streams and other batches, checked before training begins."""

from onstage.data._arrays import as_batches, split_validation
from onstage.data._validation import (
    as_array,
    as_count,
    as_weights,
    choose_batch_size,
    class_weight_table,
    label_range,
    part_names,
    warn_of_nan,
    weights_of_classes,
)

__all__ = [
    "as_array",
    "as_batches",
    "as_count",
    "as_weights",
    "choose_batch_size",
    "class_weight_table",
    "label_range",
    "part_names",
    "split_validation",
    "warn_of_nan",
    "weights_of_classes",
]
