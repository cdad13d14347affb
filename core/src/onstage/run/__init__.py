"""The run: where a training is, its loops, and the stages that they fire.

A stage ends when the loop turns: no statement in the body of a loop fires it.
What `onstage.Run` fires in a loop of one's own::

    with Run(model, callbacks, epochs=2) as run:   set_model, set_params, set_run
        for epoch in run.epochs():                 first turn: on_train_begin, on_epoch_begin 0
            for batch in run.batches(data):        first turn: on_train_batch_begin 0
                run.log(loss=step(batch))          nothing: the values are kept
                                                   next turn: on_train_batch_end 0, on_train_batch_begin 1
                                                   last turn: on_train_batch_end n
            for batch in run.test_batches(held):   first turn: on_test_begin, on_test_batch_begin 0
                run.log(loss=measure(batch))
                                                   last turn: on_test_batch_end n, on_test_end
                                                   next turn: on_epoch_end 0, on_epoch_begin 1
                                                   last turn: on_epoch_end 1, on_train_end
                                                   end of the block: on_teardown

If another program has the loop, it pushes the same stages: `Run.open`,
`Run.begin`, `Run.end`, `Run.close`. Both ways drive `_lifecycle.RunLifecycle`.
"""

from onstage.run._session import Run

__all__ = ["Run"]
