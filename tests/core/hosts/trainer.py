"""A small trainer with events, and an adapter for it: what other packages' hosts are, in 60 lines."""

import numpy as np

from onstage import ModelView
from onstage.hosts import HostCallback, HostView, file_writer, split_metrics


class Fitter:
    """Fits ``y = w x`` by gradient descent; calls ``watcher.event(name, …)`` and stops if it returns True."""

    def __init__(self, watcher, epochs, error=None):
        self.watcher, self.epochs, self.error = watcher, epochs, error
        self.weight, self.rate = np.ones(1), 0.1

    def fit(self, x, y):
        tell = self.watcher.event
        tell("warm_up", self)
        tell("begin", self)
        for epoch in range(self.epochs):
            tell("epoch", self, epoch)
            for number in range(len(x)):
                tell("step", self, number)
                if self.error is not None and number == 1:
                    raise self.error
                off = self.weight[0] * x[number] - y[number]
                self.weight = self.weight - self.rate * 2 * off * x[number]
                stop = tell("stepped", self, number, {"train_loss": off**2})
                if stop:
                    break
            tell("checking", self)
            metrics = {"valid_loss": float(np.mean((self.weight[0] * x - y) ** 2))}
            if tell("epoch_done", self, metrics):
                break
        tell("done", self)


class OnstageWatcher(HostCallback):
    host = "Fitter"
    lacks = {"state_dict": "copy Fitter.weight"}  # noqa: RUF012  # a test writes it as a user would

    def event(self, name, fitter, *arguments):
        match name, arguments:
            case "begin", ():
                self.start(self.view(fitter), epochs=fitter.epochs, steps=3)
            case "epoch", (number,):
                self.begin("epoch", number)
            case "step", (number,):
                self.begin("train_batch", number)
            case "stepped", (_, metrics):
                return not self.end("train_batch", split_metrics(metrics)[0])
            case "checking" | "warm_up", ():
                self.begin("test")
            case "epoch_done", (metrics,):
                self.end("test", split_metrics(metrics)[1])
                return not self.end("epoch")
            case "done", ():
                self.finish()
        return False

    def view(self, fitter):
        model = ModelView(
            get_weights=lambda: [fitter.weight],
            set_weights=lambda weights: setattr(fitter, "weight", weights[0]),
            get_learning_rate=lambda: fitter.rate,
            set_learning_rate=lambda rate: setattr(fitter, "rate", rate),
        )
        save = file_writer(lambda path: np.savetxt(path, fitter.weight))
        return HostView(model, self.host, self.lacks, save=save)
