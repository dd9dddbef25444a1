"""What a few labelled pictures per class are worth: probes and few-shot methods on frozen embeddings."""
