"""The paper, equation by equation: pseudo mask, flow, solvers, autoencoder, network."""
