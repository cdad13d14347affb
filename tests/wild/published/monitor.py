"""A callback on Keras 2's BaseLogger."""

import json
import os

import numpy as np
from keras.callbacks import BaseLogger


class TrainingMonitor(BaseLogger):
    """Serialize the history to JSON and plot it, in the style of a computer-vision book."""

    def __init__(self, figPath, jsonPath=None, startAt=0):
        super(TrainingMonitor, self).__init__()
        self.figPath = figPath
        self.jsonPath = jsonPath
        self.startAt = startAt

    def on_train_begin(self, logs={}):
        self.H = {}
        if self.jsonPath is not None and os.path.exists(self.jsonPath):
            with open(self.jsonPath) as file:
                self.H = json.loads(file.read())

    def on_epoch_end(self, epoch, logs={}):
        import matplotlib

        matplotlib.use("Agg")
        import matplotlib.pyplot as plt

        for k, v in logs.items():
            values = self.H.get(k, [])
            values.append(float(v))
            self.H[k] = values
        if self.jsonPath is not None:
            with open(self.jsonPath, "w") as file:
                file.write(json.dumps(self.H))
        if len(self.H["loss"]) > 1:
            n = np.arange(0, len(self.H["loss"]))
            plt.figure()
            plt.plot(n, self.H["loss"], label="train_loss")
            plt.plot(n, self.H["val_loss"], label="val_loss")
            plt.title("Training Loss [Epoch {}]".format(len(self.H["loss"])))
            plt.legend()
            plt.savefig(self.figPath)
            plt.close()
