"""What a virtual machine of the lab has in memory when it begins: busybox, the drivers of its NIC, and one script.

An archive of cpio's "newc" form (Documentation/driver-api/early-userspace/buffer-format.rst of Linux), compressed.
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from stat import S_IFCHR, S_IFDIR, S_IFREG

MODULES = (
    "drivers/virtio/virtio_ring", "drivers/virtio/virtio", "drivers/virtio/virtio_pci_modern_dev",
    "drivers/virtio/virtio_pci_legacy_dev", "drivers/virtio/virtio_pci", "net/core/failover",
    "drivers/net/net_failover", "drivers/net/virtio_net",
)  # fmt: skip
"""In the order in which they need one another."""

UP, TOLD = "NETLOOM address", "NETLOOM metadata"
"""How lines of the console begin that the lab reads."""

INIT = r"""#!/bin/busybox sh
# The first program of a virtual machine of `netloom lab`.
/bin/busybox mkdir -p /proc /sys /tmp /etc /www/cgi-bin
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
for module in @MODULES@; do insmod /modules/$module.ko; done
ip link set lo up
echo 2 >/proc/sys/net/ipv6/conf/all/accept_ra
echo 2 >/proc/sys/net/ipv6/conf/default/accept_ra
[ -e /proc/sys/net/ipv6/conf/eth0 ] && echo 2 >/proc/sys/net/ipv6/conf/eth0/accept_ra
ip link set eth0 up
@DHCP@
(
    # Every address, once it is there.
    told=
    while :; do
        now=$(ip -o addr show dev eth0 scope global | grep -v tentative | while read -r _ _ _ ip _; do echo "$ip"; done)
        [ "$now" != "$told" ] && for ip in $now; do echo "NETLOOM address ${ip%/*}"; done
        told=$now
        sleep 1
    done
) &
(
    # wget's own limit (-T) is the end of a busybox that is linked statically.
    ask="timeout 5 wget -q -O - http://169.254.169.254/openstack/latest/meta_data.json"
    until said=$($ask 2>/dev/null); do sleep 1; done
    echo "NETLOOM metadata $said"
    echo "$said" >/www/index.html
    httpd -h /www
) &
while :; do sleep 3600; done
"""

DHCP = "udhcpc -b -i eth0 -s /udhcpc -O mtu -O staticroutes >/dev/null 2>&1 &"

UDHCPC = r"""#!/bin/sh
# Called by udhcpc with what the server said.
case "$1" in
deconfig) ip -4 addr flush dev "$interface" ;;
bound | renew)
    [ -n "$mtu" ] && ip link set "$interface" mtu "$mtu"
    ip -4 addr flush dev "$interface"
    ip addr add "$ip/$mask" dev "$interface"
    if [ -n "$staticroutes" ]; then
        set -- $staticroutes
        while [ $# -gt 1 ]; do
            if [ "$2" = 0.0.0.0 ]; then ip route replace "$1" dev "$interface"
            else ip route replace "$1" via "$2" dev "$interface"; fi
            shift 2
        done
    else
        for gateway in $router; do ip route replace default via "$gateway" dev "$interface" && break; done
    fi
    : >/etc/resolv.conf
    for server in $dns; do echo "nameserver $server" >>/etc/resolv.conf; done
    ;;
esac
exit 0
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file, a folder (S_IFDIR) or a device (S_IFCHR, with its numbers)."""

    name: str
    mode: int
    body: bytes = b""
    device: tuple[int, int] = (0, 0)


def render_initrd(busybox: bytes, modules: Mapping[str, bytes], use_dhcp: bool = True) -> bytes:
    """The archive, ready for the kernel. `modules`: by name, in the order in which they are to be loaded."""
    init = INIT.replace("@MODULES@", " ".join(modules)).replace("@DHCP@", DHCP if use_dhcp else "")
    entries = [
        *(Entry(name, S_IFDIR | 0o755) for name in ("bin", "dev", "modules")),
        Entry("dev/console", S_IFCHR | 0o600, device=(5, 1)),
        Entry("dev/null", S_IFCHR | 0o666, device=(1, 3)),
        Entry("bin/busybox", S_IFREG | 0o755, busybox),
        Entry("bin/sh", S_IFREG | 0o755, b'#!/bin/busybox sh\nexec /bin/busybox sh "$@"\n'),
        Entry("init", S_IFREG | 0o755, init.encode()),
        Entry("udhcpc", S_IFREG | 0o755, UDHCPC.replace("#!/bin/sh", "#!/bin/busybox sh").encode()),
        *(Entry(f"modules/{name}.ko", S_IFREG | 0o644, body) for name, body in modules.items()),
    ]
    archive = b"".join(render_entry(entry, number) for number, entry in enumerate(entries, 1))
    return gzip.compress(archive + render_entry(Entry("TRAILER!!!", 0), 0), 1, mtime=0)


def render_entry(entry: Entry, inode: int) -> bytes:
    """Header, name and content, each filled up to four bytes."""
    name = entry.name.encode() + b"\0"
    major, minor = entry.device
    numbers = (inode, entry.mode, 0, 0, 1, 0, len(entry.body), 0, 0, major, minor, len(name), 0)
    head = b"070701" + b"".join(b"%08x" % number for number in numbers) + name
    return pad(head) + pad(entry.body)


def pad(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
