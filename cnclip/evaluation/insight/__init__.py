"""What a model gets wrong, and why: drawn from embeddings and ranks that a retrieval run already has."""
