"""Figures of merit as pure functions: one formula each, its source in the docstring.

They know nothing of attacks, systems or files, and take weights and random generators as arguments.
An undefined value is nan; a caller leaves it out of its mean and says how many it left out.
"""
