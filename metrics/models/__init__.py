"""Find and load models: built-in, folder, adapter, GGUF, Hub."""
