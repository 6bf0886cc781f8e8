"""Settings: declared in `concerns` by `schema`, their sorts in `kinds`, filled in by `reading`."""

from entrypoint.settings.reading import Reading, read
from entrypoint.settings.schema import Secret, concern, secrets_of, variables

__all__ = ["Reading", "Secret", "concern", "read", "secrets_of", "variables"]
