"""Quantization of whole PyTorch models: ranges, rounding, training and the choice of bits, layer by layer."""
