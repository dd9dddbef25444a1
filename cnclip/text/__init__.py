"""Text: the one cleaning of captions, their word pieces, their tensors, and Chinese words."""
