"""The domains: what an application asks of devices, flows, alerts, telemetry, backups; written once on the waist."""
