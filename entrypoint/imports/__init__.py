"""The settings of other mail systems as a new `.env` of ours.

Each name of the source is told, with what became of it: taken as it is, translated, without an equal here, or left to a
person. Nothing is lost silently, also not a name that nobody here knows. Whatever is written has passed the settings'
own parsers, and is quoted so that Compose and `check` read back just that.
"""
