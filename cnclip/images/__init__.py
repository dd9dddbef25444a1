"""Images: bytes to upright RGB pictures, pictures to tensors, and augmentation."""
