"""Rewrite with a language model: prompts, decoding, batching, engines."""
