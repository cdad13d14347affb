"""Evaluator: evaluate and predict, written on the loops of a Run."""

from __future__ import annotations

from typing import Any, Unpack

from onstage.backend import Backend
from onstage.run._session import Run
from onstage.trainer._arguments import LoadingOptions, check_loading
from onstage.validation import validate_optional_int


class Evaluator(Backend):
    """Adds evaluate and predict to the steps of a backend; base class of `Trainer`."""

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: int | str = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Any = None,
        return_dict: bool = False,
        **loading: Unpack[LoadingOptions],
    ) -> float | list[float] | dict[str, float]:
        """Compute loss and metrics on data, and fire the test stages.

        Parameters
        ----------
        x, y, sample_weight, callbacks, verbose, **loading
            As in `fit`.
        batch_size
            Samples per batch, for arrays. None: ``ceil(n / steps)``, or 32
            without `steps`.
        steps
            Number of batches; None for all. Without a batch size, arrays are
            divided into that many batches, so that every row counts.
        return_dict
            Whether to return a dict.

        Returns
        -------
        dict, list or float
            A dict with return_dict; else a list in the order of
            `metrics_names`, or the loss if there are no metrics.

        Examples
        --------
        >>> from onstage import Sequential, layers
        >>> model = Sequential([layers.Dense(1, kernel_initializer="zeros")])
        >>> model.compile(loss="mse", metrics=["mae"])
        >>> model.evaluate([[1.0], [1.0]], [[1.0], [3.0]], verbose=0, return_dict=True)
        {'loss': 5.0, 'mae': 2.0}
        """
        check_loading(Evaluator.evaluate, loading)
        validate_optional_int("steps", steps, 1)
        batches = self.make_batches(x, y, sample_weight, batch_size=batch_size, steps=steps)
        self.prepare(batches, mode="test")
        self.stop_evaluating = False
        with self._run_over(batches, callbacks, verbose) as run:
            self._test(run, batches)
        if return_dict:
            return run.test_logs
        values: list[float] = list(run.test_logs.values())
        return values[0] if len(values) == 1 else values

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: int | str = "auto",
        steps: int | None = None,
        callbacks: Any = None,
        **loading: Unpack[LoadingOptions],
    ) -> Any:
        """Compute the outputs for data, and fire the predict stages.

        Parameters
        ----------
        x, callbacks, verbose, **loading
            As in `fit`.
        batch_size, steps
            As in `evaluate`.

        Returns
        -------
        array
            Shape ``(n, …)``.

        Examples
        --------
        >>> from onstage import Sequential, layers
        >>> model = Sequential([layers.Dense(1, kernel_initializer="ones")])
        >>> model.predict([[1.0, 2.0], [3.0, 4.0]], verbose=0).tolist()
        [[3.0], [7.0]]
        """
        check_loading(Evaluator.predict, loading)
        validate_optional_int("steps", steps, 1)
        batches = self.make_batches(x, batch_size=batch_size, steps=steps)
        self.prepare(batches, mode="predict")
        self.stop_predicting = False
        outputs: list[Any] = []
        with self._run_over(batches, callbacks, verbose) as run:
            loop = run.predict_batches(batches)
            for batch in loop:
                if loop.reads_logs:
                    outputs.append(self.predict_step(batch))
                    run.log(outputs=outputs[-1])
                else:
                    outputs.append(self.predict_step_async(batch))
        return self.join_outputs(outputs)

    # -- parts of the above

    def _test(self, run: Run, batches: Any) -> None:
        accumulator = self.new_accumulator()
        for batch in run.test_batches(batches, accumulator):
            self.test_step(batch, accumulator)

    def _run_over(self, batches: Any, callbacks: Any, verbose: int | str) -> Run:
        return Run(
            self,
            callbacks,
            steps=batches.steps,
            batch_size=batches.batch_size,
            samples=batches.samples,
            verbose=verbose,
        )
