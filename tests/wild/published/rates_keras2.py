"""Learning rates per batch and per epoch, in the style of Keras 2: variables set through the backend."""

import math

import keras.backend as K
import numpy as np
from keras.callbacks import Callback, LearningRateScheduler, ReduceLROnPlateau, TensorBoard


class CyclicLR(Callback):
    """The triangular policies; the first argument of on_batch_end is called epoch, as often published."""

    def __init__(self, base_lr=0.001, max_lr=0.006, step_size=2000.0, mode="triangular", gamma=1.0):
        super(CyclicLR, self).__init__()
        self.base_lr = base_lr
        self.max_lr = max_lr
        self.step_size = step_size
        self.mode = mode
        self.gamma = gamma
        if mode == "triangular":
            self.scale_fn, self.scale_mode = (lambda x: 1.0), "cycle"
        elif mode == "triangular2":
            self.scale_fn, self.scale_mode = (lambda x: 1 / (2.0 ** (x - 1))), "cycle"
        else:
            self.scale_fn, self.scale_mode = (lambda x: gamma**x), "iterations"
        self.clr_iterations = 0.0
        self.trn_iterations = 0.0
        self.history = {}

    def clr(self):
        cycle = np.floor(1 + self.clr_iterations / (2 * self.step_size))
        x = np.abs(self.clr_iterations / self.step_size - 2 * cycle + 1)
        argument = cycle if self.scale_mode == "cycle" else self.clr_iterations
        return self.base_lr + (self.max_lr - self.base_lr) * np.maximum(0, 1 - x) * self.scale_fn(argument)

    def on_train_begin(self, logs={}):
        logs = logs or {}
        if self.clr_iterations == 0:
            K.set_value(self.model.optimizer.lr, self.base_lr)
        else:
            K.set_value(self.model.optimizer.lr, self.clr())

    def on_batch_end(self, epoch, logs=None):
        logs = logs or {}
        self.trn_iterations += 1
        self.clr_iterations += 1
        self.history.setdefault("lr", []).append(K.get_value(self.model.optimizer.lr))
        self.history.setdefault("iterations", []).append(self.trn_iterations)
        for k, v in logs.items():
            self.history.setdefault(k, []).append(v)
        K.set_value(self.model.optimizer.lr, self.clr())


class SGDRScheduler(Callback):
    """Cosine annealing with warm restarts; the weights of the last restart are set at the end."""

    def __init__(self, min_lr, max_lr, steps_per_epoch, lr_decay=1, cycle_length=10, mult_factor=2):
        self.min_lr = min_lr
        self.max_lr = max_lr
        self.lr_decay = lr_decay
        self.batch_since_restart = 0
        self.next_restart = cycle_length
        self.steps_per_epoch = steps_per_epoch
        self.cycle_length = cycle_length
        self.mult_factor = mult_factor
        self.history = {}

    def clr(self):
        fraction = self.batch_since_restart / (self.steps_per_epoch * self.cycle_length)
        return self.min_lr + 0.5 * (self.max_lr - self.min_lr) * (1 + np.cos(fraction * np.pi))

    def on_train_begin(self, logs={}):
        logs = logs or {}
        K.set_value(self.model.optimizer.lr, self.max_lr)

    def on_batch_end(self, batch, logs={}):
        logs = logs or {}
        self.history.setdefault("lr", []).append(K.get_value(self.model.optimizer.lr))
        self.batch_since_restart += 1
        K.set_value(self.model.optimizer.lr, self.clr())

    def on_epoch_end(self, epoch, logs={}):
        if epoch + 1 == self.next_restart:
            self.batch_since_restart = 0
            self.cycle_length = np.ceil(self.cycle_length * self.mult_factor)
            self.next_restart += self.cycle_length
            self.max_lr *= self.lr_decay
            self.best_weights = self.model.get_weights()

    def on_train_end(self, logs={}):
        self.model.set_weights(self.best_weights)


class WarmUpCosineDecayScheduler(Callback):
    """Linear warm-up, then a cosine to zero, set before every batch."""

    def __init__(self, learning_rate_base, total_steps, global_step_init=0, warmup_steps=0, verbose=0):
        super(WarmUpCosineDecayScheduler, self).__init__()
        self.learning_rate_base = learning_rate_base
        self.total_steps = total_steps
        self.global_step = global_step_init
        self.warmup_steps = warmup_steps
        self.verbose = verbose
        self.learning_rates = []

    def rate(self):
        if self.global_step < self.warmup_steps:
            return self.learning_rate_base * self.global_step / self.warmup_steps
        progress = (self.global_step - self.warmup_steps) / float(self.total_steps - self.warmup_steps)
        return 0.5 * self.learning_rate_base * (1 + np.cos(np.pi * min(progress, 1.0)))

    def on_batch_end(self, batch, logs=None):
        self.global_step = self.global_step + 1
        lr = K.get_value(self.model.optimizer.lr)
        self.learning_rates.append(lr)

    def on_batch_begin(self, batch, logs=None):
        lr = self.rate()
        K.set_value(self.model.optimizer.lr, lr)
        if self.verbose > 0:
            print("\nBatch %05d: setting learning rate to %.6f." % (self.global_step + 1, lr))


class LRFinder(Callback):
    """Raise the rate exponentially until the loss explodes; the first weights come back from a file."""

    def __init__(self, start_lr, end_lr, num_iterations, filepath="lr_find.weights.h5"):
        super(LRFinder, self).__init__()
        self.start_lr, self.end_lr = start_lr, end_lr
        self.num_iterations = num_iterations
        self.filepath = filepath
        self.lrs, self.losses = [], []
        self.best_loss = 1e9

    def on_train_begin(self, logs=None):
        self.lr_mult = (float(self.end_lr) / float(self.start_lr)) ** (1.0 / float(self.num_iterations))
        self.model.save_weights(self.filepath)
        self.original_lr = K.get_value(self.model.optimizer.lr)
        K.set_value(self.model.optimizer.lr, self.start_lr)

    def on_batch_end(self, batch, logs):
        lr = K.get_value(self.model.optimizer.lr)
        self.lrs.append(lr)
        loss = logs["loss"]
        self.losses.append(loss)
        if math.isnan(loss) or loss > self.best_loss * 4:
            self.model.stop_training = True
            return
        if loss < self.best_loss:
            self.best_loss = loss
        lr *= self.lr_mult
        K.set_value(self.model.optimizer.lr, lr)

    def on_train_end(self, logs=None):
        self.model.load_weights(self.filepath)
        K.set_value(self.model.optimizer.lr, self.original_lr)


class OneCycleScheduler(Callback):
    """Rate up and down, momentum down and up, through the backend."""

    def __init__(self, lr_max, steps, mom_min=0.85, mom_max=0.95, phase_1_pct=0.3, div_factor=25.0):
        super(OneCycleScheduler, self).__init__()
        self.lr_min, self.lr_max = lr_max / div_factor, lr_max
        self.mom_min, self.mom_max = mom_min, mom_max
        self.up = int(steps * phase_1_pct)
        self.down = steps - self.up
        self.step = 0
        self.lrs, self.moms = [], []

    def values(self):
        if self.step < self.up:
            share = self.step / self.up
            return (
                self.lr_min + share * (self.lr_max - self.lr_min),
                self.mom_max + share * (self.mom_min - self.mom_max),
            )
        share = (self.step - self.up) / self.down
        return self.lr_max * (1 - share), self.mom_min + share * (self.mom_max - self.mom_min)

    def on_train_begin(self, logs=None):
        self.step = 0
        self.set()

    def on_train_batch_end(self, batch, logs=None):
        self.lrs.append(float(K.get_value(self.model.optimizer.lr)))
        self.moms.append(float(K.get_value(self.model.optimizer.momentum)))
        self.step += 1
        self.set()

    def set(self):
        lr, mom = self.values()
        K.set_value(self.model.optimizer.lr, lr)
        K.set_value(self.model.optimizer.momentum, mom)


class PolynomialDecay:
    """A schedule as a callable object, for LearningRateScheduler."""

    def __init__(self, maxEpochs=100, initAlpha=0.01, power=1.0):
        self.maxEpochs = maxEpochs
        self.initAlpha = initAlpha
        self.power = power

    def __call__(self, epoch):
        decay = (1 - (epoch / float(self.maxEpochs))) ** self.power
        return float(self.initAlpha * decay)


def polynomial():
    return LearningRateScheduler(PolynomialDecay(maxEpochs=5, initAlpha=0.2, power=2), verbose=1)


def step_decay_of_the_present_rate():
    return LearningRateScheduler(lambda epoch, lr: lr * 0.5 if epoch and epoch % 2 == 0 else lr)


class ReduceLROnSpike(Callback):
    """Halve the rate after an epoch that is worse than the one before."""

    def __init__(self, factor=0.5):
        super().__init__()
        self.factor = factor
        self.last = None

    def on_epoch_end(self, epoch, logs=None):
        loss = logs.get("loss")
        if self.last is not None and loss > self.last:
            lr = float(K.get_value(self.model.optimizer.lr)) * self.factor
            K.set_value(self.model.optimizer.lr, lr)
            print("loss rose at epoch {}, lr now {:.6f}".format(epoch + 1, lr))
        self.last = loss


class DelayedReduceLROnPlateau(ReduceLROnPlateau):
    """ReduceLROnPlateau that does not look at the first epochs."""

    def __init__(self, start_epoch=2, **kwargs):
        super(DelayedReduceLROnPlateau, self).__init__(**kwargs)
        self.start_epoch = start_epoch

    def on_train_begin(self, logs=None):
        super(DelayedReduceLROnPlateau, self).on_train_begin(logs)
        self.calls = 0

    def on_epoch_end(self, epoch, logs=None):
        if epoch >= self.start_epoch:
            self.calls += 1
            super(DelayedReduceLROnPlateau, self).on_epoch_end(epoch, logs)


class LRTensorBoard(TensorBoard):
    """TensorBoard that adds the rate to the logs of each epoch."""

    def __init__(self, log_dir, **kwargs):
        super(LRTensorBoard, self).__init__(log_dir=log_dir, **kwargs)

    def on_epoch_end(self, epoch, logs=None):
        logs = logs or {}
        logs.update({"lr": K.eval(self.model.optimizer.lr)})
        super(LRTensorBoard, self).on_epoch_end(epoch, logs)


class LearningRateLogger(Callback):
    """Add the rate to the logs under its old name."""

    def on_epoch_end(self, epoch, logs=None):
        logs = logs or {}
        logs["lr"] = K.get_value(self.model.optimizer.lr)


class EffectiveLRPrinter(Callback):
    """Print the rate with Keras 2's decay by iterations."""

    def on_epoch_end(self, epoch, logs={}):
        optimizer = self.model.optimizer
        lr = float(K.get_value(optimizer.lr))
        decay = getattr(optimizer, "decay", 0.0)
        decay = float(K.get_value(decay)) if decay else 0.0
        iterations = int(K.get_value(optimizer.iterations))
        print("iteration {:d}: LR {:.6f}".format(iterations, lr * (1.0 / (1.0 + decay * iterations))))


class LinearDecayPerBatch(Callback):
    """Set the attribute itself in every batch."""

    def __init__(self, first=0.2, step=0.005):
        super().__init__()
        self.first, self.step, self.n = first, step, 0

    def on_batch_begin(self, batch, logs=None):
        self.model.optimizer.lr = self.first - self.step * self.n
        self.n += 1
