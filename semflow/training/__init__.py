"""One loop for every method, optimizers, checkpoints, devices. Knows no loss."""
