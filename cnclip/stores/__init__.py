"""Pictures and captions on disk: raw sources, and the store that training and measuring read. No torch."""
