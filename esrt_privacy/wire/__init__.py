"""The real connection between edge and cloud: messages, server, client, feature cache, certificates."""
