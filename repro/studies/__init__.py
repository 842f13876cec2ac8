"""Studies: many runs of the pipeline, compared. Each is a command, `python -m repro.studies.NAME`, that resumes."""
