"""Run a command; print its wall time and user CPU time in seconds, and its peak memory in KiB.

A process of its own, and a small one: Linux counts a process's peak from the size of the one that
started it. What the command prints goes to standard error. Run with `python -I -S`.
"""

import os
import sys
import time

arguments = sys.argv[1:]
output_to_error = (os.POSIX_SPAWN_DUP2, 2, 1)
started = time.perf_counter()
process = os.posix_spawnp(arguments[0], arguments, os.environ, file_actions=[output_to_error])
_, status, usage = os.wait4(process, 0)
print(time.perf_counter() - started, usage.ru_utime, usage.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status) % 256)
