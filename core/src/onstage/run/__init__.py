"""The run: its position in a training, its loops, and the stages that they fire.

The loops fire the stages, at their iterations; no statement in their body does.
This is when `onstage.Run` fires in a custom training loop::

    with Run(model, callbacks, epochs=2) as run:   set_model, set_params, set_run
        for epoch in run.epochs():                 first: on_train_begin, on_epoch_begin 0
            for batch in run.batches(data):        first: on_train_batch_begin 0
                run.log(loss=step(batch))          nothing: the values are kept
                                                   next: on_train_batch_end 0, on_train_batch_begin 1
                                                   last: on_train_batch_end n
            for batch in run.test_batches(held):   first: on_test_begin, on_test_batch_begin 0
                run.log(loss=measure(batch))
                                                   last: on_test_batch_end n, on_test_end
                                                   next: on_epoch_end 0, on_epoch_begin 1
                                                   last: on_epoch_end 1, on_train_end
                                                   end of the block: on_teardown

A program that has its own loop calls `Run.open`, `Run.begin`, `Run.end` and
`Run.close` to fire the same stages. Both ways drive `_lifecycle.RunLifecycle`.
"""

from onstage.run._session import Run

__all__ = ["Run"]
