"""The switch in the guest, and packets that are all upcalls."""

import socket
import struct
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

FRAME_BYTES = 100


def run(*command):
    return subprocess.run(command, check=True, text=True, capture_output=True).stdout


@dataclass(frozen=True)
class Load:
    name: str
    packets: int
    # Packets a second; none: as fast as they can be sent.
    rate: int | None
    times: int = 1


@dataclass(frozen=True)
class Outcome:
    # Upcalls whose packet came out of the switch.
    upcalls: int
    # Upcalls that the kernel dropped, as the handler's socket was full.
    dropped: int
    # From the first packet in to the last one out.
    seconds: float


class Switch:
    """A bridge that sends what comes in at one port out at another."""

    def __init__(self):
        for conf in ("all", "default"):
            # No packets but those of the load.
            Path(f"/proc/sys/net/ipv6/conf/{conf}/disable_ipv6").write_text("1")
        run("ovs-vsctl", "add-br", "br0")
        for name in ("in", "out"):
            run("ip", "link", "add", name, "up", "type", "veth", "peer", "name", f"{name}-port")
            run("ip", "link", "set", f"{name}-port", "up")
            run("ovs-vsctl", "add-port", "br0", f"{name}-port")
        run("ovs-ofctl", "del-flows", "br0")
        run("ovs-ofctl", "add-flow", "br0", "in_port=in-port,actions=output:out-port")
        # So that each new pair of ports is an upcall.
        run("ovs-appctl", "upcall/disable-megaflows")
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        self._socket.bind(("in", 0))
        self._flow = 0

    def offer(self, load):
        """Sends a load, and waits until it is handled."""
        frames = [self._next_frame() for _ in range(load.packets)]
        delivered, dropped = self._delivered(), self._dropped()
        start = time.monotonic()
        for number, frame in enumerate(frames):
            if load.rate:
                time.sleep(max(0, start + number / load.rate - time.monotonic()))
            self._socket.send(frame)
        end, upcalls = self._wait_until_handled(delivered, load.packets)
        outcome = Outcome(upcalls, self._dropped() - dropped, end - start)
        self._forget_flows()
        return outcome

    def _wait_until_handled(self, before, expected):
        upcalls, changed = 0, time.monotonic()
        while upcalls < expected and time.monotonic() - changed < 2:
            now = self._delivered() - before
            if now > upcalls:
                upcalls, changed = now, time.monotonic()
            time.sleep(0.02)
        return changed, upcalls

    def _next_frame(self):
        self._flow += 1
        ports = struct.pack("!HH", 1024 + self._flow // 50_000, 1024 + self._flow % 50_000)
        payload = bytes(FRAME_BYTES - 42)
        udp = ports + struct.pack("!HH", 8 + len(payload), 0) + payload
        ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0)
        ip += socket.inet_aton("10.0.0.1") + socket.inet_aton("10.0.0.2")
        total = sum(struct.unpack("!10H", ip))
        total = (total & 0xFFFF) + (total >> 16)
        ip = ip[:10] + struct.pack("!H", ~(total + (total >> 16)) & 0xFFFF) + ip[12:]
        return bytes.fromhex("020000000002020000000001") + b"\x08\x00" + ip + udp

    def _delivered(self):
        return int(Path("/sys/class/net/out-port/statistics/tx_packets").read_text())

    def _dropped(self):
        for line in run("ovs-appctl", "dpctl/show").splitlines():
            if "lookups:" in line:
                return int(line.split("lost:")[1].split()[0])
        raise RuntimeError("ovs-appctl dpctl/show names no lost upcalls")

    def _forget_flows(self):
        run("ovs-appctl", "revalidator/purge")
        deadline = time.monotonic() + 120
        while run("ovs-appctl", "dpctl/dump-flows"):
            if time.monotonic() > deadline:
                raise RuntimeError("the datapath keeps its flows")
            time.sleep(0.5)
