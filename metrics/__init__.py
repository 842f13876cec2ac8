"""STA, SIM, FL and J for text detoxification: corpora, systems, scorers, profiles, statistics."""

__version__ = "0.1.0"
