"""Cards, model repositories and exports."""
