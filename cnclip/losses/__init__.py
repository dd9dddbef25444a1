"""Training objectives on unit embeddings, and the gathering of embeddings across processes."""
