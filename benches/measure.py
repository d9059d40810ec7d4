"""Runs one command and writes what it took, as JSON, to the file named first.

A process of its own because a child's peak memory counts what its parent held when it was made:
this one stays near 10 MB, the race itself does not. Peaks below that cannot be seen.
"""

import json
import os
import sys
import time

report, log, command = sys.argv[1], sys.argv[2], sys.argv[3:]
out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
null = os.open(os.devnull, os.O_RDONLY)
actions = [(os.POSIX_SPAWN_DUP2, null, 0), (os.POSIX_SPAWN_DUP2, out, 1), (os.POSIX_SPAWN_DUP2, out, 2)]
began = time.monotonic()
pid = os.posix_spawn(command[0], command, os.environ, file_actions=actions)
_, status, usage = os.wait4(pid, 0)
wall = time.monotonic() - began
with open(report, "w", encoding="utf-8") as file:
    json.dump(
        {
            "wall": wall,
            "cpu": usage.ru_utime + usage.ru_stime,
            "peak": usage.ru_maxrss * 1024,
            "code": os.waitstatus_to_exitcode(status),
        },
        file,
    )
