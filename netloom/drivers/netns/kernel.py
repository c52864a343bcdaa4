"""Network namespaces as the kernel has them: made, entered and left by a thread, named by a file that holds them.

Law: only a thread that was made for it ever enters a namespace, so nobody else finds himself in the wrong one.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

CLONE_NEWNET = 0x40000000
MS_BIND, MNT_DETACH = 4096, 2
SIOCETHTOOL, ETHTOOL_GTXCSUM, ETHTOOL_STXCSUM = 0x8946, 0x16, 0x17
SETTINGS = Path("/proc/sys")

T = TypeVar("T")


class Worker:
    """One thread that goes into namespaces and comes back."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, "netns")

    @property
    def pool(self) -> ThreadPoolExecutor:
        return self._pool

    def close(self) -> None:
        self._pool.shutdown(wait=False)


def load_libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def check(result: int, what: str) -> None:
    """Raises OSError with the words of the kernel."""
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


@contextmanager
def entered(path: Path) -> Iterator[None]:
    """The thread is in the namespace that `path` holds, and afterwards where it was. Raises OSError."""
    libc = load_libc()
    with open_namespace(Path(f"/proc/self/task/{threading.get_native_id()}/ns/net")) as home:
        with open_namespace(path) as there:
            check(libc.setns(there, CLONE_NEWNET), f"namespace {path.name}")
        try:
            yield
        finally:
            check(libc.setns(home, CLONE_NEWNET), "the way back")


@contextmanager
def open_namespace(path: Path) -> Iterator[int]:
    number = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield number
    finally:
        os.close(number)


def make_namespace(path: Path) -> None:
    """A namespace that `path` holds until it is removed. One that is there stays. Raises OSError."""
    if is_namespace(path):
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o444)
    done: list[BaseException] = []

    def work() -> None:
        try:
            libc = load_libc()
            check(libc.unshare(CLONE_NEWNET), "a new namespace")
            own = f"/proc/self/task/{threading.get_native_id()}/ns/net".encode()
            check(libc.mount(own, bytes(path), b"none", MS_BIND, None), f"namespace {path.name}")
        except BaseException as error:
            done.append(error)

    thread = threading.Thread(target=work)  # it ends with the namespace that it is in
    thread.start()
    thread.join()
    if done:
        path.unlink(missing_ok=True)
        raise done[0]


def remove_namespace(path: Path) -> None:
    """The name goes, and with the last process in it the namespace."""
    load_libc().umount2(bytes(path), MNT_DETACH)
    path.unlink(missing_ok=True)


def is_namespace(path: Path) -> bool:
    """Whether something is mounted there: a file without a namespace is what a reboot leaves of it."""
    try:
        return path.stat().st_dev != path.parent.stat().st_dev
    except FileNotFoundError:
        return False


def read_setting(name: str) -> str:
    """A sysctl of the namespace that the thread is in, its name with slashes; empty: the kernel has none of it."""
    try:
        return (SETTINGS / name).read_text().strip()
    except FileNotFoundError:
        return ""


def write_setting(name: str, value: str) -> None:
    """A setting that the kernel does not have, or that is out of our hands and right, counts as done."""
    if read_setting(name) not in ("", value):
        (SETTINGS / name).write_text(value)


# -- checksums ---------------------------------------------------------------------------------------------------------


def read_plain(device: str) -> bool:
    """Whether the kernel itself writes the checksums of what leaves by the device."""
    return not ask_ethtool(device, ETHTOOL_GTXCSUM, 0)


def set_plain(device: str, plain: bool) -> None:
    """A switch in user space gets frames as they are handed over: checksums left to hardware would never come."""
    ask_ethtool(device, ETHTOOL_STXCSUM, 0 if plain else 1)


def ask_ethtool(device: str, command: int, value: int) -> int:
    """One number in, one out, by the ethtool ioctl (linux/ethtool.h, struct ethtool_value)."""
    asked = ctypes.create_string_buffer(struct.pack("II", command, value), 8)
    request = struct.pack("16sP", device.encode()[:15], ctypes.addressof(asked)).ljust(40, b"\0")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, SIOCETHTOOL, request)
    return int(struct.unpack("II", asked.raw[:8])[1])
