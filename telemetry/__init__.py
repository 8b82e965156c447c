"""The telemetry of a process: metrics, traces and log lines, each declared once."""
