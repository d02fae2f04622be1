"""Reports made from findings: one HTML page, a table for the terminal."""
