"""The names of onstage's own packages, installed or not."""

from __future__ import annotations

CALLBACK_CLASSES = {
    "backup_and_restore": "BackupAndRestore",
    "csv_logger": "CSVLogger",
    "early_stopping": "EarlyStopping",
    "figures": "Figures",
    "gradient_monitor": "GradientMonitor",
    "lambda_callback": "LambdaCallback",
    "learning_rate_scheduler": "LearningRateScheduler",
    "live": "Live",
    "lr_finder": "LRFinder",
    "mlflow": "MLflow",
    "model_checkpoint": "ModelCheckpoint",
    "optuna": "Optuna",
    "progbar_logger": "ProgbarLogger",
    "reduce_lr_on_plateau": "ReduceLROnPlateau",
    "remote_monitor": "RemoteMonitor",
    "rich_progress": "RichProgress",
    "swap_ema_weights": "SwapEMAWeights",
    "system_monitor": "SystemMonitor",
    "tensorboard": "TensorBoard",
    "terminate_on_nan": "TerminateOnNaN",
    "time_limit": "TimeLimit",
    "trackio": "Trackio",
    "wandb": "Wandb",
}
"""Class of each callback, by the name of its package and entry point."""


def missing_package(name: str) -> str:
    """Return which package has a callback, for a message; an empty string if it is none of onstage's.

    Parameters
    ----------
    name
        An entry point or a class.
    """
    for entry_point, kind in CALLBACK_CLASSES.items():
        if name in (entry_point, kind):
            return f"; install it with: pip install onstage-{entry_point.replace('_', '-')}"
    return ""
