"""Training: the store, the losses, the two stages, calibration."""
