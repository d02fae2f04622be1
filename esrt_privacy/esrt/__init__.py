"""The ESRT system: what runs on the device (edge) and what runs in the cloud."""
