"""`.env` files: read as Compose reads them, and looked at as a whole before anything is started.

Each module has one noun. `reading` knows the file, `case` what is looked at, `findings` what is said about it, which
`examine` gathers: from each service, from `names` that nobody knows, `between` services, from `pem` files, secrets in
`files`, `folders`. `online` asks the network, `show` is for people and programs.
All is told at once: a line that cannot be read hides no other mistake.
"""

from entrypoint.environment.case import Case, in_use
from entrypoint.environment.examine import examine
from entrypoint.environment.findings import Finding
from entrypoint.environment.reading import EnvFile, parse, read_env_file

__all__ = ["Case", "EnvFile", "Finding", "examine", "in_use", "parse", "read_env_file"]
