"""The place of the inference Lambda, which imports nothing of `retail_platform`. Empty so far."""
