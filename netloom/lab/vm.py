"""Instances that are virtual machines: a real kernel of its own under QEMU, without help of the processor (TCG).

    QEMU in namespace nl-h1:  virtio NIC ═══ tap<port id> on br-int

Law: what the machine did is read from its console, for nobody can look inside. A checksum is written by its kernel
(no offloads), as the userspace datapath needs it.
"""

from __future__ import annotations

import os
import shutil
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from netloom.lab import processes
from netloom.lab.initrd import MODULES, TOLD, UP, render_initrd
from netloom.lab.shell import CommandFailed, LabError, run, wait_for
from netloom.lab.state import Instance, Lab, Place

PROGRAM = "qemu-system-x86_64"
MEMORY_MB = 96
BOOT_S = 90.0
PT_INTERP = 3
PACKAGE = "linux-image-cloud-amd64"
OFFLOADS = "csum=off,gso=off,host_tso4=off,host_tso6=off,host_ufo=off,guest_csum=off,guest_tso4=off,guest_tso6=off"


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel's image, and the folder of its modules."""

    image: Path
    modules: Path


def find_kernel(root: Path) -> Kernel | None:
    """The newest below `root` that can drive the NIC."""
    for image in sorted(root.glob("boot/vmlinuz-*"), reverse=True):
        modules = root / "lib/modules" / image.name.removeprefix("vmlinuz-") / "kernel"
        if all((modules / f"{name}.ko").exists() for name in MODULES):
            return Kernel(image, modules)
    return None


def get_kernel() -> Kernel:
    """NETLOOM_LAB_KERNEL (a folder with boot/ and lib/modules/), else the machine's, else Debian's, fetched once."""
    given = os.environ.get("NETLOOM_LAB_KERNEL")
    if given:
        found = find_kernel(Path(given))
        if found is None:
            raise LabError(f"NETLOOM_LAB_KERNEL: {given} has no boot/vmlinuz-* with modules that can be read")
        return found
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "netloom" / "kernel"
    return find_kernel(Path("/")) or find_kernel(cache) or fetch_kernel(cache)


def fetch_kernel(cache: Path) -> Kernel:
    """Debian's kernel for machines like these, unpacked; nothing is installed. 27 MB."""
    shown = run("apt-cache", "depends", PACKAGE)
    names = [line.split()[-1] for line in shown.splitlines() if line.strip().startswith("Depends: linux-image-")]
    if not names:
        raise LabError(f"no kernel here, and apt knows no {PACKAGE}: set NETLOOM_LAB_KERNEL")
    cache.mkdir(parents=True, exist_ok=True)
    run("sh", "-c", 'cd "$1" && apt-get download -q "$2"', "sh", str(cache), names[0], timeout_s=300)
    for package in cache.glob("*.deb"):
        run("dpkg-deb", "-x", str(package), str(cache))
        package.unlink()
    found = find_kernel(cache)
    if found is None:
        raise LabError(f"{names[0]} has no drivers that can be used: set NETLOOM_LAB_KERNEL")
    return found


def check_programs() -> None:
    """Raises LabError, saying what is missing and how to get it."""
    if not shutil.which(PROGRAM):
        raise LabError(f"a virtual machine needs {PROGRAM}: apt-get install qemu-system-x86")
    if not is_alone(Path(find_busybox()).read_bytes()):
        raise LabError("a virtual machine needs a busybox that stands alone: apt-get install busybox-static")


def is_alone(program: bytes) -> bool:
    """Whether a 64-bit ELF program names no loader (elf(5), PT_INTERP), so that it runs where there is nothing else."""
    start, size, count = *struct.unpack_from("<Q", program, 32), *struct.unpack_from("<HH", program, 54)
    kinds = (struct.unpack_from("<I", program, start + n * size)[0] for n in range(count))
    return PT_INTERP not in kinds


def find_busybox() -> str:
    found = shutil.which("busybox")
    if not found:
        raise LabError("a virtual machine needs busybox: apt-get install busybox-static")
    return found


def make_machine(lab: Lab, place: Place, instance: Instance, use_dhcp: bool) -> None:
    """The tap device and the machine, which begins to boot. It is plugged in by whoever plugs instances."""
    check_programs()
    kernel = get_kernel()
    directory = place.instance(instance.name)
    initrd = directory / "initrd.gz"
    modules = {Path(name).name: (kernel.modules / f"{name}.ko").read_bytes() for name in MODULES}
    initrd.write_bytes(render_initrd(Path(find_busybox()).read_bytes(), modules, use_dhcp))
    netns = lab.host_netns(instance.host)
    run("ip", "-n", netns, "tuntap", "add", instance.device, "mode", "tap")
    run("ip", "-n", netns, "link", "set", instance.device, "up")
    processes.start(
        render_command(instance, kernel.image, initrd, console(place, instance.name)),
        place.directory, directory / "qemu.log", netns,
    )  # fmt: skip


def render_command(instance: Instance, image: Path, initrd: Path, log: Path) -> tuple[str, ...]:
    return (
        PROGRAM, "-accel", "tcg", "-machine", "q35", "-m", str(MEMORY_MB), "-nodefaults", "-display", "none",
        "-no-reboot", "-serial", f"file:{log}", "-kernel", str(image), "-initrd", str(initrd),
        "-append", "console=ttyS0 panic=-1 quiet",
        "-netdev", f"tap,id=n0,ifname={instance.device},script=no,downscript=no,vnet_hdr=off",
        "-device", f"virtio-net-pci,netdev=n0,mac={instance.mac},romfile=,{OFFLOADS}",
    )  # fmt: skip


def console(place: Place, name: str) -> Path:
    """What the machine said."""
    return place.instance(name) / "console.log"


def read_console(place: Place, name: str) -> list[str]:
    path = console(place, name)
    return path.read_text(errors="replace").splitlines() if path.exists() else []


def find_said(lines: Iterable[str], begin: str) -> list[str]:
    """What follows that beginning, in the lines that have it."""
    return [line[line.index(begin) + len(begin) :].strip() for line in lines if begin in line]


def wait_booted(place: Place, instance: Instance, addresses: Iterable[str], metadata: bool) -> str:
    """Until the machine has said that it has these addresses and was told of itself; what it was told."""
    wanted = set(addresses)

    def lacking() -> set[str]:
        return wanted - set(find_said(read_console(place, instance.name), UP))

    def told() -> list[str]:
        return find_said(read_console(place, instance.name), TOLD)

    def why() -> str:
        tail = " | ".join(read_console(place, instance.name)[-4:])
        return f"it lacks {', '.join(sorted(lacking())) or 'its metadata'}; its console ends: {tail or 'nothing'}"

    wait_for(f"{instance.name} up", lambda: not lacking() and (bool(told()) or not metadata), BOOT_S, why)
    return next(iter(told()), "")


def remove_machine(lab: Lab, place: Place, instance: Instance) -> None:
    """The process and its device; what is gone already is no error."""
    wanted = f"ifname={instance.device},"
    owned = processes.find_owned(place.directory)
    processes.stop([pid for pid, command in owned.items() if wanted in command], place.directory)
    try:
        run("ip", "-n", lab.host_netns(instance.host), "link", "del", instance.device)
    except CommandFailed:
        pass  # QEMU may have taken it along
