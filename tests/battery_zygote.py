"""What a command starts by `machine.isolated_process`, forked from a copy of its process that was made before it began.

So a process of its own costs no imports, knows nothing of the command's threads, is of the command's process group and
dies with it.
"""

import os
import pickle
import selectors
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

import forked_processes
from seatrial.machine import isolated_process

PIPE = subprocess.PIPE
_REQUEST = 1 << 20
"""Bytes that a command line with its environment may have."""


class Zygote:
    """Stands for the module `subprocess` where `isolated_process` uses it."""

    PIPE = PIPE

    def __init__(self, before: Callable[[], object] | None = None) -> None:
        """Fork it.

        Args:
            before: called in every process that is started, first of all.
        """
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        if os.fork() == 0:
            self._channel.close()
            _serve(theirs, before)
        theirs.close()
        isolated_process.subprocess = self  # type: ignore[assignment]

    def Popen(self, command: Sequence[str], env: Mapping[str, str], **pipes: int) -> Any:
        """A module of ours in a fork, all else as usual."""
        if not forked_processes.is_ours(command, env):
            return subprocess.Popen(command, env=env, **pipes)
        return _Forked(self._channel, command[len(isolated_process.PYTHON) :], env)


class _Forked:
    """As `subprocess.Popen` with pipes for all three."""

    def __init__(self, channel: socket.socket, command: Sequence[str], env: Mapping[str, str]) -> None:
        self.returncode: int | None = None
        opened: list[int] = []
        try:
            for _ in range(4):
                opened += os.pipe()
            theirs = [opened[0], *opened[3::2]]
            socket.send_fds(channel, [pickle.dumps((list(command), dict(env), os.getcwd()))], theirs)
        except BaseException:
            for descriptor in opened:
                os.close(descriptor)
            raise
        for descriptor in theirs:
            os.close(descriptor)
        self._input, self._outputs = opened[1], opened[2:6:2]
        self._state = os.fdopen(opened[6], "rb", buffering=0)
        self._pid = int.from_bytes(self._state.read(8), "little")

    def __enter__(self) -> "_Forked":
        return self

    def __exit__(self, *raised: Any) -> None:
        self._wait()
        self._state.close()

    def communicate(self, text: bytes) -> tuple[bytes, bytes]:
        try:
            while text:
                text = text[os.write(self._input, text) :]
        except BrokenPipeError:
            pass
        finally:
            os.close(self._input)
        said: dict[int, bytes] = dict.fromkeys(self._outputs, b"")
        with selectors.DefaultSelector() as selector:
            for descriptor in self._outputs:
                selector.register(descriptor, selectors.EVENT_READ)
            while selector.get_map():
                for key, _ in selector.select():
                    part = os.read(key.fd, 1 << 16)
                    said[key.fd] += part
                    if not part:
                        selector.unregister(key.fd)
                        os.close(key.fd)
        self._wait()
        output, chatter = said.values()
        return output, chatter

    def kill(self) -> None:
        if self.returncode is None:
            os.kill(self._pid, signal.SIGKILL)

    def _wait(self) -> None:
        if self.returncode is None:
            status = self._state.read(8)
            self.returncode = int.from_bytes(status, "little", signed=True) if status else -signal.SIGKILL


def _serve(channel: socket.socket, before: Callable[[], object] | None) -> NoReturn:
    """Until the command's process is gone."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        request, descriptors, _, _ = socket.recv_fds(channel, _REQUEST, 4)
        if not request:
            os._exit(0)
        if os.fork() == 0:
            channel.close()
            _watch(pickle.loads(request), descriptors, before)
        for descriptor in descriptors:
            os.close(descriptor)


def _watch(
    request: tuple[list[str], dict[str, str], str], descriptors: Sequence[int], before: Callable[[], object] | None
) -> NoReturn:
    """Tell the process's id, and then with what it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    *streams, state = descriptors
    pid = os.fork()
    if pid == 0:
        os.close(state)
        _run(request, streams, before)
    for descriptor in streams:
        os.close(descriptor)
    os.write(state, pid.to_bytes(8, "little"))
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.write(state, code.to_bytes(8, "little", signed=True))
    os._exit(0)


def _run(
    request: tuple[list[str], dict[str, str], str], streams: Sequence[int], before: Callable[[], object] | None
) -> NoReturn:
    code = 1
    try:
        for number, descriptor in enumerate(streams):
            os.dup2(descriptor, number)
            os.close(descriptor)
        command, env, folder = request
        if before is not None:
            before()
        forked_processes.run_module(command, env, folder)
        code = 0
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else int(left.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
