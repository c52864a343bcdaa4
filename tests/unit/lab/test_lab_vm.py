"""Virtual machines of the lab: what they are given to boot from, and what is read off their consoles."""

from __future__ import annotations

import gzip
from pathlib import Path

from netloom.lab.initrd import MODULES, TOLD, UP, render_initrd
from netloom.lab.metadata import Told, check_caller, find_answer
from netloom.lab.state import Instance
from netloom.lab.vm import find_kernel, find_said, is_alone, render_command


def test_an_initrd_holds_all_that_is_needed() -> None:
    """cpio, as everybody has it, lists what we packed; the modules stand in the order in which they are loaded."""
    modules = {Path(name).name: b"code" for name in MODULES}
    packed = gzip.decompress(render_initrd(b"program", modules))
    assert packed.startswith(b"070701")
    assert b"TRAILER!!!" in packed
    script = packed[packed.index(b"#!/bin/busybox sh") :]
    assert b"for module in virtio_ring virtio " in script
    assert b"udhcpc -b" in packed
    assert b"udhcpc -b" not in gzip.decompress(render_initrd(b"program", modules, use_dhcp=False))


def unpack(data: bytes) -> dict[str, tuple[int, bytes]]:
    """Name → (mode, content) of an archive in the newc form."""
    found: dict[str, tuple[int, bytes]] = {}
    at = 0
    while True:
        numbers = [int(data[at + 6 + 8 * n : at + 14 + 8 * n], 16) for n in range(13)]
        mode, size, length = numbers[1], numbers[6], numbers[11]
        name = data[at + 110 : at + 110 + length - 1].decode()
        body = at + 110 + length + -(110 + length) % 4
        if name == "TRAILER!!!":
            return found
        found[name] = (mode, data[body : body + size])
        at = body + size + -size % 4


def test_an_archive_holds_what_went_in() -> None:
    """Names, contents and modes, as the kernel reads them."""
    held = unpack(gzip.decompress(render_initrd(b"program", {"virtio": b"code!"})))
    assert held["bin/busybox"] == (0o100755, b"program")
    assert held["modules/virtio.ko"] == (0o100644, b"code!")
    assert held["dev/console"][0] == 0o020600
    assert held["init"][1].startswith(b"#!/bin/busybox sh\n")


def test_the_same_parts_give_the_same_initrd() -> None:
    """No time and no chance in it."""
    assert render_initrd(b"program", {"a": b"x"}) == render_initrd(b"program", {"a": b"x"})


def test_the_nic_leaves_nothing_to_hardware() -> None:
    """The device is the port's, by name and MAC; checksums are whole."""
    one = Instance("a", "h1", "blue", "d", "0123456789abcdef", "fa:16:3e:00:00:05", kind="vm")
    command = " ".join(render_command(one, Path("/k"), Path("/i"), Path("/c")))
    assert "ifname=tap0123456789a," in command
    assert "vnet_hdr=off" in command
    assert "mac=fa:16:3e:00:00:05" in command
    assert "csum=off" in command


def test_a_console_is_read_by_its_lines() -> None:
    """Whatever the kernel says in between."""
    lines = ["[ 1.0] noise", f"[ 2.0] {UP} 10.0.0.5", f"{UP} fd00::5\r", f'{TOLD} {{"uuid": 1}}']
    assert find_said(lines, UP) == ["10.0.0.5", "fd00::5"]
    assert find_said(lines, TOLD) == ['{"uuid": 1}']


def test_a_kernel_without_drivers_is_none(tmp_path: Path) -> None:
    """The newest that has all modules is taken."""
    assert find_kernel(tmp_path) is None
    for version, names in (("6.1", MODULES), ("6.2", MODULES[:-1])):
        (tmp_path / "boot").mkdir(exist_ok=True)
        (tmp_path / "boot" / f"vmlinuz-{version}").touch()
        for name in names:
            path = tmp_path / "lib/modules" / version / "kernel" / f"{name}.ko"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    found = find_kernel(tmp_path)
    assert found is not None
    assert found.image.name == "vmlinuz-6.1"


def test_a_program_that_needs_a_loader_does_not_stand_alone() -> None:
    """The one that runs this test needs one."""
    assert not is_alone(Path("/bin/cat").read_bytes())


def test_the_labs_metadata_is_for_who_is_signed() -> None:
    """Without the right signature nobody is believed."""
    signed = {"x-instance-id": "i", "x-tenant-id": "t", "x-forwarded-for": "10.0.0.5"}
    assert check_caller(signed, "s", {}) is None
    assert check_caller({**signed, "x-instance-id-signature": "0" * 64}, "s", {}) is None


def test_the_labs_metadata_has_both_ways_to_ask() -> None:
    """OpenStack's and EC2's; what there is not is not found."""
    told = Told("i", "t", "10.0.0.5", "web")
    assert '"uuid": "i"' in (find_answer("/openstack/latest/meta_data.json", told) or "")
    assert find_answer("/latest/meta-data/local-ipv4", told) == "10.0.0.5"
    assert find_answer("/latest/meta-data/hostname", told) == "web"
    assert find_answer("/latest/user-data", told) is None
    assert find_answer("/openstack/latest/vendor_data.json", told) is None
    assert find_answer("/elsewhere", told) is None
