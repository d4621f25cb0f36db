"""Run a command with the network off: ``python tests/offline.py COMMAND [ARGUMENT …]``.

The command runs in a network namespace of its own (Linux), in which only the loopback interface exists:
servers, kernels and browsers on this machine reach each other, and nothing else answers. Where the system has
no such namespaces, one sentence says so and the command runs with the network on; with ``CI=true`` that is an
error.
"""

import ctypes
import os
import socket
import struct
import sys
from pathlib import Path

MARK = "COURSE_NETWORK"
"""Set to ``off`` for the command when the network really is off."""

CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000
SIOCGIFFLAGS = 0x8913
SIOCSIFFLAGS = 0x8914
IFF_UP = 1


def unshare(flags: int) -> None:
    """Move this process into new namespaces; raises OSError where that is not allowed."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(flags) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def raise_loopback() -> None:
    """Bring the interface ``lo`` up, as ``ip link set lo up`` does; a new namespace starts with it down."""
    import fcntl

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
        request = struct.pack("16sh14x", b"lo", 0)
        _, flags = struct.unpack("16sh14x", fcntl.ioctl(channel, SIOCGIFFLAGS, request))
        fcntl.ioctl(channel, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | IFF_UP))


def leave_network() -> None:
    """Cut this process off from all but its own loopback; raises OSError where that is not allowed."""
    user, group = os.getuid(), os.getgid()
    try:
        unshare(CLONE_NEWNET)
    except PermissionError:
        # Everybody may do it inside a user namespace of their own; there, the user keeps the same number.
        unshare(CLONE_NEWUSER | CLONE_NEWNET)
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    raise_loopback()


def reason_against() -> str | None:
    """Try it in a child process; return why it does not work here, or None when it does."""
    if not sys.platform.startswith("linux"):
        return f"{sys.platform} has no network namespaces"
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            leave_network()
        except (OSError, AttributeError) as error:
            os.write(writer, str(error).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as answer:
        reason = answer.read()
    os.waitpid(child, 0)
    return reason or None


def main(command: list[str]) -> None:
    """Replace this process by the command, with the network off where that is possible."""
    if not command:
        sys.exit("What should run without a network? Call: python tests/offline.py COMMAND [ARGUMENT …]")
    os.environ.pop(MARK, None)
    reason = reason_against()
    if reason is None:
        leave_network()
        os.environ[MARK] = "off"
    elif os.environ.get("CI") == "true":
        sys.exit(f"The network cannot be switched off here ({reason}), and with CI=true that is an error.")
    else:
        print(f"The network cannot be switched off here ({reason}), so it stays on.", file=sys.stderr)
    sys.stdout.flush()
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
