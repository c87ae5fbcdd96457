"""A real object store for slow tests: one Ceph monitor, one OSD, and the RADOS gateway, in a folder and on free ports.

All daemons are children of the test process and run in the foreground, so a test can kill one (SIGKILL) and start it again
on the same ports and data. Debian: `apt-get install ceph-mon ceph-osd radosgw`.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
import uuid
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

PROGRAMS = ("ceph", "ceph-authtool", "ceph-mon", "ceph-osd", "monmaptool", "radosgw", "radosgw-admin")
START_SECONDS = 90
KEYS = {
    "mon.": {"mon": "allow *"},
    "client.admin": {"mon": "allow *", "osd": "allow *"},
    "client.rgw.a": {"mon": "allow rw", "osd": "allow rwx"},
}
CONFIGURATION = """
[global]
fsid = {fsid}
mon host = {monitors}
public network = 127.0.0.0/8
ms bind ipv6 = false
keyring = {folder}/keyring
run dir = {folder}/run
log file = {folder}/log/$name.log
admin socket = {folder}/run/$name.asok
crash dir = {folder}/crash
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pgp num = 4
osd pool default pg autoscale mode = off
mon allow pool size one = true
mon max pg per osd = 1000
mon osd full ratio = .99
mon osd nearfull ratio = .98
mon data avail crit = 1
mon data avail warn = 1
osd crush chooseleaf type = 0
osd objectstore = bluestore
osd memory target = 939524096
bluestore block size = 4294967296
bluestore fsck on mount = false
[mon.a]
mon data = {folder}/mon
[osd.0]
osd data = {folder}/osd
keyring = {folder}/osd/keyring
[client.rgw.a]
rgw frontends = beast endpoint=127.0.0.1:{port} tcp_nodelay=1
rgw thread pool size = 64
rgw num rados handles = 1
rgw run sync thread = false
rgw dns name = localhost
rgw enable usage log = false
rgw gc max objs = 8
rgw lc max objs = 8
"""


def missing_programs() -> list[str]:
    """Programs of Ceph that are not installed."""
    return [name for name in PROGRAMS if shutil.which(name) is None]


class CephRgw:
    """A running cluster of one machine."""

    def __init__(self, folder: Path, access_key: str, secret_key: str) -> None:
        self.folder = folder
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        port, *monitor_ports = _free_ports(3)
        self.endpoint = f"http://127.0.0.1:{port}"
        self._configure(port, *monitor_ports)
        try:
            self._make_cluster(*monitor_ports)
            self.start()
            self._run(
                "radosgw-admin",
                "user",
                "create",
                "--uid=tests",
                "--display-name=tests",
                f"--access-key={access_key}",
                f"--secret={secret_key}",
            )
        except BaseException:
            self.kill()
            raise

    def start(self) -> None:
        """Start what does not run, and wait until the gateway answers."""
        self._start("mon.a", "ceph-mon", "-i", "a")
        self._start("osd.0", "ceph-osd", "-i", "0")
        self._start("client.rgw.a", "radosgw", "-n", "client.rgw.a")
        deadline = time.monotonic() + START_SECONDS
        while not _answers(self.endpoint):
            for name, process in self._running.items():
                if process.poll() is not None:
                    raise RuntimeError(f"{name} ended with {process.returncode}: {self._last_words(name)}")
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.endpoint} does not answer after {START_SECONDS} s: {self._last_words('client.rgw.a')}")
            time.sleep(0.1)

    def kill_gateway(self) -> None:
        """SIGKILL the gateway: connections break, what it had not passed on is lost."""
        self._kill("client.rgw.a")

    def kill(self) -> None:
        """SIGKILL everything."""
        for name in reversed(list(self._running)):
            self._kill(name)

    def remove(self) -> None:
        """Stop everything and delete the data."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _configure(self, port: int, *monitor_ports: int) -> None:
        for name in ("mon", "osd", "run", "log", "crash"):
            (self.folder / name).mkdir(parents=True)
        self.fsid = str(uuid.uuid4())
        text = CONFIGURATION.format(fsid=self.fsid, monitors=_monitors(*monitor_ports), folder=self.folder, port=port)
        (self.folder / "ceph.conf").write_text(text)

    def _make_cluster(self, *monitor_ports: int) -> None:
        monmap, keyring, osd_keyring = (str(self.folder / name) for name in ("monmap", "keyring", "osd/keyring"))
        for name, rights in KEYS.items():
            capabilities = [word for part, right in rights.items() for word in ("--cap", part, right)]
            self._run("ceph-authtool", keyring, *["--create-keyring"] * (name == "mon."), "--gen-key", "-n", name, *capabilities)
        self._run("monmaptool", "--create", "--fsid", self.fsid, "--addv", "a", _monitors(*monitor_ports), monmap)
        self._run("ceph-mon", "-i", "a", "--mkfs", "--monmap", monmap, "--keyring", keyring)
        self._start("mon.a", "ceph-mon", "-i", "a")
        osd = str(uuid.uuid4())
        self._run("ceph-authtool", "--create-keyring", osd_keyring, "--gen-key", "-n", "osd.0")
        self._run("ceph", "--connect-timeout", "60", "osd", "new", osd)
        self._run("ceph", "auth", "add", "osd.0", "osd", "allow *", "mon", "allow profile osd", "-i", osd_keyring)
        self._run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd)

    def _start(self, name: str, program: str, *arguments: str) -> None:
        running = self._running.get(name)
        if running and running.poll() is None:
            return
        with (self.folder / "log" / f"{name}.out").open("ab") as output:
            command = [program, "-f", "-c", str(self.folder / "ceph.conf"), *arguments]
            self._running[name] = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)

    def _kill(self, name: str) -> None:
        process = self._running.pop(name)
        process.kill()
        process.wait()

    def _run(self, program: str, *arguments: str) -> None:
        command = [program, "-c", str(self.folder / "ceph.conf"), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=START_SECONDS)
        if done.returncode:
            raise RuntimeError(f"{program} {' '.join(arguments)} ended with {done.returncode}: {done.stderr[-2000:]}")

    def _last_words(self, name: str) -> str:
        return (self.folder / "log" / f"{name}.out").read_text(errors="replace")[-2000:]


def _monitors(new: int, old: int) -> str:
    return f"[v2:127.0.0.1:{new}/0,v1:127.0.0.1:{old}/0]"


def _answers(endpoint: str) -> bool:
    try:
        with urlopen(endpoint, timeout=10):
            return True
    except HTTPError:
        return True
    except (URLError, OSError):
        return False


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [found.getsockname()[1] for found in sockets]
    for found in sockets:
        found.close()
    return ports
