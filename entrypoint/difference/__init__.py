"""What a change would do: two sides, rendered or read with stand-ins for secrets, and compared.

A side is another `.env`, a folder that `render --out` has written, or a running container. Secrets are never replaced
in texts afterwards, where each syntax has them in another form: both sides are rendered with stand-ins from the
beginning, and of a text that others have written only the lines are shown that a rendering gives as well.
"""
