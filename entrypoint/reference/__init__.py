"""All that is known of the settings, for people and for programs: `entrypoint settings` and docs/reference.

`catalogue` gathers it from the declarations; each other module writes it in one format. No container reads it to start.
"""
