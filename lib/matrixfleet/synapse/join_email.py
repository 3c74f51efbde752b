"""Write the `email` block of homeserver.yaml with the password in it: arguments are that file, the password's,
and the one to write. Runs in an init container: Synapse has no option for a file with the password, and of
several configurations the last has a block as a whole."""

import os
import sys
from pathlib import Path

import yaml

homeserver, password, target = map(Path, sys.argv[1:])
block = yaml.safe_load(homeserver.read_text())["email"]
block["smtp_pass"] = password.read_text().rstrip("\r\n")
os.umask(0o077)
target.write_text(yaml.safe_dump({"email": block}))
