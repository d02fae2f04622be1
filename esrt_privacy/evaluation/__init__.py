"""How well a model recognises and translates, and what it costs in time and memory."""
