"""DSM: segmentation by diffusion, conditioned on the image."""
