"""Views, order, batches and cached latents of training images."""
