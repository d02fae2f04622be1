"""Pretrained models that judge audio: what was said in it and whose voice it is.

They know nothing of attacks or systems: waveforms go in, texts and embeddings come out.
"""
