"""The two towers of a CLIP model and the ways to lock them."""
