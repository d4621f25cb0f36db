"""Graph optimizations as readable listings: from an ONNX model to a new one that computes the same.

Compilers run dozens of such passes. These four are the ones that matter most for a convolutional network:
`fold_constants`, `remove_dead_code`, `fold_batch_norm` and `propagate_qdq`, each in a module of its own;
`equality.check_equal` proves that nothing changed.
"""
