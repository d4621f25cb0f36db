"""From a PyTorch module to a file that other runtimes take, and the proof that both compute the same."""
