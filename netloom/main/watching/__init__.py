"""What is told of a running part: its log, figures for Prometheus, spans for OpenTelemetry."""
