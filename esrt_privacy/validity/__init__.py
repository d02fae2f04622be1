"""Whether the audit tells the truth: false alarms, coverage, power and budgets, measured on the audit's own methods.

Simulated nulls and reruns of the real attacks go through the very statistics and the very judgement of an audit. Only
the command line imports this room.
"""
