"""A paramiko channel as the duplex that our own codecs speak over."""

from __future__ import annotations

import paramiko

from farends.contract import Context
from farends.errors import ConnectionStage
from farends.secure_shell.chunk_pipe import ChunkPipe
from farends.secure_shell.session import close_session, in_time, ssh_error

_SLICE_S = 0.5


class ChannelDuplex:
    """Takes ownership of the transport: closing one closes both."""

    def __init__(self, transport: paramiko.Transport, channel: paramiko.Channel) -> None:
        self._transport = transport
        self._channel = channel
        channel.settimeout(_SLICE_S)

    @classmethod
    def for_subsystem(
        cls, transport: paramiko.Transport, name: str, context: Context
    ) -> ChannelDuplex:
        """Starts a subsystem. The transport is closed when this raises."""

        def start() -> paramiko.Channel:
            try:
                channel = transport.open_session(timeout=context.patience.log_in_s)
                channel.in_buffer = ChunkPipe()  # before a byte of the subsystem can come
                channel.in_stderr_buffer = ChunkPipe()
                channel.invoke_subsystem(name)
            except (paramiko.SSHException, EOFError, OSError) as exc:
                raise ssh_error(exc, ConnectionStage.LOG_IN) from exc
            return channel

        try:
            channel = in_time(start, transport, context, ConnectionStage.LOG_IN, f"starting {name}")
        except BaseException:
            close_session(transport)
            raise
        return cls(transport, channel)

    def receive(self, limit: int) -> bytes | None:
        try:
            return self._channel.recv(limit)
        except TimeoutError:
            return None
        except (paramiko.SSHException, EOFError, OSError) as exc:
            raise ssh_error(exc, ConnectionStage.READ) from exc

    def send(self, data: memoryview) -> int:
        try:
            sent = self._channel.send(bytes(data))
        except TimeoutError:
            return 0
        except (paramiko.SSHException, EOFError, OSError) as exc:
            raise ssh_error(exc, ConnectionStage.READ) from exc
        if not sent:
            raise ssh_error(EOFError("the channel is closed"), ConnectionStage.READ)
        return sent

    def close(self) -> None:
        close_session(self._transport)
