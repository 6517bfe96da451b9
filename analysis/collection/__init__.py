"""Per-k results collected fresh: set k in a live model, sweep it, measure latency.

Needs the extra ``collect`` (PyTorch and Transformers), which is loaded where used only.
"""
