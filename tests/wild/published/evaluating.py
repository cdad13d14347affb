"""Callbacks that predict and evaluate on data of their own."""

import keras
import numpy as np
from keras.callbacks import Callback
from sklearn.metrics import classification_report, cohen_kappa_score, confusion_matrix, f1_score
from sklearn.metrics import precision_score, recall_score, roc_auc_score


class F1Metrics(Callback):
    """F1, precision and recall after each epoch, in lists and in the logs."""

    def __init__(self, validation):
        super(F1Metrics, self).__init__()
        self.validation = validation

    def on_train_begin(self, logs={}):
        self.val_f1s = []
        self.val_recalls = []
        self.val_precisions = []

    def on_epoch_end(self, epoch, logs={}):
        val_targ = self.validation[1]
        val_predict = (np.asarray(self.model.predict(self.validation[0], verbose=0))).round()
        self.val_f1s.append(f1_score(val_targ, val_predict, zero_division=0))
        self.val_recalls.append(recall_score(val_targ, val_predict, zero_division=0))
        self.val_precisions.append(precision_score(val_targ, val_predict, zero_division=0))
        logs["val_f1"] = self.val_f1s[-1]
        print(f" — val_f1: {self.val_f1s[-1]:.4f} — val_recall {self.val_recalls[-1]:.4f}")
        return


class ValidationDataMetrics(Callback):
    """F1 on the validation data that Keras 2 put on the callback."""

    def on_train_begin(self, logs={}):
        self.f1s = []

    def on_epoch_end(self, epoch, logs={}):
        predict = np.asarray(self.model.predict(self.validation_data[0], verbose=0)).round()
        targets = self.validation_data[1]
        self.f1s.append(f1_score(targets, predict, zero_division=0))
        print("val_f1: %f" % self.f1s[-1])


class OwnValidationData(Callback):
    """Keep validation data under the attribute's old name."""

    def __init__(self, validation_data):
        super().__init__()
        self.validation_data = validation_data

    def on_epoch_end(self, epoch, logs=None):
        x, y = self.validation_data
        print("mean error %.4f" % np.mean(np.abs(np.asarray(self.model.predict(x, verbose=0)) - y)))


class RocAucEvaluation(Callback):
    """ROC-AUC of training and validation data every few epochs."""

    def __init__(self, training_data, validation_data, interval=1):
        super(Callback, self).__init__()
        self.x, self.y = training_data
        self.x_val, self.y_val = validation_data
        self.interval = interval

    def on_train_begin(self, logs={}):
        return

    def on_train_end(self, logs={}):
        return

    def on_epoch_begin(self, epoch, logs={}):
        return

    def on_epoch_end(self, epoch, logs={}):
        if epoch % self.interval == 0:
            roc = roc_auc_score(self.y, self.model.predict(self.x, verbose=0))
            roc_val = roc_auc_score(self.y_val, self.model.predict(self.x_val, verbose=0))
            print("roc-auc: %s - roc-auc_val: %s" % (str(round(roc, 4)), str(round(roc_val, 4))))
        return

    def on_batch_begin(self, batch, logs={}):
        return

    def on_batch_end(self, batch, logs={}):
        return


class ConfusionMatrix(Callback):
    """Print the confusion matrix at the end."""

    def __init__(self, X_val, Y_val):
        super().__init__()
        self.X_val = X_val
        self.Y_val = Y_val

    def on_train_end(self, logs=None):
        pred = self.model.predict(self.X_val, verbose=0)
        print(confusion_matrix(self.Y_val, (np.asarray(pred) > 0.5).astype(int)))


class AdditionalValidationSets(Callback):
    """Evaluate on several named sets and keep a history of its own."""

    def __init__(self, validation_sets, verbose=0, batch_size=None):
        super(AdditionalValidationSets, self).__init__()
        self.validation_sets = validation_sets
        self.epoch = []
        self.history = {}
        self.verbose = verbose
        self.batch_size = batch_size

    def on_train_begin(self, logs=None):
        self.epoch = []
        self.history = {}

    def on_epoch_end(self, epoch, logs=None):
        logs = logs or {}
        self.epoch.append(epoch)
        for k, v in logs.items():
            self.history.setdefault(k, []).append(v)
        for data, targets, name in self.validation_sets:
            results = self.model.evaluate(
                x=data, y=targets, verbose=self.verbose, sample_weight=None, batch_size=self.batch_size
            )
            for metric, result in zip(["loss", "accuracy"], results):
                self.history.setdefault(name + "_" + metric, []).append(float(result))


class TestCallback(Callback):
    """Evaluate on test data and print."""

    __test__ = False

    def __init__(self, test_data):
        self.test_data = test_data

    def on_epoch_end(self, epoch, logs={}):
        x, y = self.test_data
        loss, acc = self.model.evaluate(x, y, verbose=0)
        print("\nTesting loss: {:.5f}, acc: {:.5f}\n".format(loss, acc))


class PredictionLogger(Callback):
    """Keep the predictions of a few samples."""

    def __init__(self, samples):
        super().__init__()
        self.samples = samples
        self.predictions = []

    def on_epoch_end(self, epoch, logs=None):
        self.predictions.append(np.asarray(self.model.predict(self.samples, verbose=0)).ravel().tolist())


class PredictOnBatchLogger(Callback):
    """Predict inside a batch, by predict_on_batch."""

    def __init__(self, samples):
        super().__init__()
        self.samples, self.means = samples, []

    def on_train_batch_end(self, batch, logs=None):
        self.means.append(float(np.mean(np.asarray(self.model.predict_on_batch(self.samples)))))


class TestOnBatchLogger(Callback):
    """Measure one batch by test_on_batch after each epoch."""

    __test__ = False

    def __init__(self, x, y):
        super().__init__()
        self.x, self.y, self.losses = x, y, []

    def on_epoch_end(self, epoch, logs=None):
        result = self.model.test_on_batch(self.x, self.y, return_dict=True)
        self.losses.append(float(result["loss"]))


class Report(Callback):
    """Print scikit-learn's report at the end."""

    def __init__(self, x, y):
        super().__init__()
        self.x, self.y = x, y

    def on_train_end(self, logs=None):
        predicted = (np.asarray(self.model.predict(self.x, verbose=0)) > 0.5).astype(int)
        print(classification_report(self.y, predicted, zero_division=0))


class KappaCheckpoint(Callback):
    """Cohen's kappa decides which weights are kept."""

    def __init__(self, data):
        super().__init__()
        self.data, self.kappas = data, []

    def on_epoch_end(self, epoch, logs=None):
        x, y = self.data
        kappa = cohen_kappa_score(y.ravel(), np.asarray(self.model.predict(x, verbose=0)).ravel() > 0.5)
        self.kappas.append(0.0 if np.isnan(kappa) else float(kappa))
        if self.kappas[-1] == max(self.kappas):
            self.best = self.model.get_weights()

    def on_train_end(self, logs=None):
        self.model.set_weights(self.best)


class ValidationOnlyLosses(keras.callbacks.Callback):
    """Collect what the validation's own stages get."""

    def on_test_begin(self, logs=None):
        self.batches = []

    def on_test_batch_end(self, batch, logs=None):
        self.batches.append((batch, round(logs["loss"], 4)))

    def on_test_end(self, logs=None):
        print("validation", len(self.batches), "batches, loss %.4f" % logs["loss"])
