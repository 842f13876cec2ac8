"""Studies: many runs of the pipeline, compared; each a command, `python -m repro.studies.NAME`, that may be killed."""
