"""Trainers, objective, warm-up, collectives."""
