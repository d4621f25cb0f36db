"""Removing channels from a network: which ones belong together, taking them out, and the proof of it."""
