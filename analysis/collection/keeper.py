"""Run a server and end it when whoever started it is gone.

A script of its own: ``python keeper.py PROGRAM ARGUMENT...``. Its standard input is a pipe that
the starter holds open; when that closes, whether asked for, by a crash or by a kill that nothing
can catch, the server and all its children are ended. So a dead sweep leaves no server behind.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading

GRACE_S = 10.0


def end(process: subprocess.Popen[bytes], grace_s: float = GRACE_S) -> None:
    """End a process that leads its own group, and the group; first asked, then made to.

    Parameters
    ----------
    process : Popen
        Started with `own_group`.
    grace_s : float
        Seconds between asking and making.
    """
    if sys.platform == "win32":
        tree = ["taskkill", "/F", "/T", "/PID", str(process.pid)]
        subprocess.run(tree, capture_output=True, check=False)
        process.wait()
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(grace_s)
    # Children that outlive their parent are in the group still.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def keep(command: list[str]) -> int:
    """Run a command until it ends or standard input closes; return its exit status."""
    # Ctrl-C reaches every process of the terminal: the starter decides, not its servers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    group = sys.platform != "win32"
    try:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=group)
    except OSError as error:
        print(f"cannot run {command[0]}: {error}", file=sys.stderr, flush=True)
        return 127

    def watch() -> None:
        while os.read(0, 4096):
            pass
        end(process)

    threading.Thread(target=watch, daemon=True).start()
    return process.wait()


if __name__ == "__main__":
    sys.exit(keep(sys.argv[1:]))
