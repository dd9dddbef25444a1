"""The training loop and what it stands on: schedule, optimizer, steps, resume, metrics."""
