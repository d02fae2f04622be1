"""Training an ESRT model: tasks, the curriculum's stages, batches, and the loop that runs them."""
