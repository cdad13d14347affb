"""Events of a short training, as RemoteMonitor sends them."""

BEGIN = {
    "event": "train_begin",
    "model": "Net",
    "epochs": 4,
    "params": {"steps": 2, "batch_size": 32},
    "callbacks": ["EarlyStopping(patience=3)"],
    "host": "here",
    "pid": 7,
}


def batch(epoch, number, loss):
    return {"event": "train_batch_end", "epoch": epoch, "batch": number, "loss": loss}


def epoch_end(epoch, **logs):
    return {"event": "epoch_end", "epoch": epoch, **logs}


EPOCH = [batch(0, 0, 1.0), batch(0, 1, 3.0), epoch_end(0, loss=2.0, val_loss=2.5, accuracy=0.25)]
