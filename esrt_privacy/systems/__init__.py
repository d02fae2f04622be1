"""What can be audited. A system exposes taps; what happens at them is an attack's business."""
