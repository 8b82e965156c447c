"""What a process tells: metrics, traces and log lines, each declared once."""
