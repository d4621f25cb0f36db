"""Low-rank factorization: a layer as a chain of thinner ones that together cost fewer MACs.

Every module here needs torch, so each is imported by its own name:
``from course_lib.lowrank.factorize import factorize``.
"""
