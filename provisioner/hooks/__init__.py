"""Hooks: signed events from the operator's portal, and signed events to whoever listens."""
