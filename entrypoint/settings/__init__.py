"""Settings: declared in `concerns`, read by `schema`, their sorts in `kinds`."""

from entrypoint.settings.schema import Reading, Secret, concern, read, variables

__all__ = ["Reading", "Secret", "concern", "read", "variables"]
