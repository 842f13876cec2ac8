"""The four metrics as `evaluate` modules and as Hugging Face Spaces, and the bundler of all Spaces."""
