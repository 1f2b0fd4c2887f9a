"""The clients, instrumented by OpenTelemetry's own packages: each has a connection of its own.

    client.py ADDRESS SERVER CALLS PROPAGATES

Half of CALLS speak HTTP/1.1, half gRPC. At each `call`, all of them call at once. At `end` it sends
its spans and tells about them.

A span of these packages names the server alone, or not even that. Whose connection it was can be told
from the service's span if contexts are propagated. If not, half of the clients that speak HTTP say
which port is theirs, as an application may.
"""

import sys
import threading
from concurrent import futures

import grpc
import requests
from common import METHOD, SERVICE, STOCK_PORT, WEB_PORT, Account, commands, say, start_tracing
from opentelemetry.instrumentation.grpc import GrpcInstrumentorClient
from opentelemetry.instrumentation.requests import RequestsInstrumentor
from opentelemetry.sdk.trace import SpanProcessor
from requests.adapters import HTTPAdapter

# Below those that the kernel gives.
FIRST_PORT = 20_000

here = threading.local()


class Last(SpanProcessor):
    """Keeps the span that this thread began last."""

    def on_start(self, span, parent_context=None):
        here.span = span


class FromPort(HTTPAdapter):
    """Connects from this address and port."""

    def __init__(self, source):
        self.source = source
        super().__init__(pool_maxsize=1)

    def init_poolmanager(self, *arguments, **keywords):
        super().init_poolmanager(*arguments, source_address=self.source, **keywords)


class Web:
    """A client that speaks HTTP/1.1."""

    def __init__(self, account, source, server, says_port):
        self.account, self.source, self.server = account, source, server
        self.says_port = says_port
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.mount("http://", FromPort(source))

    def call(self):
        here.local = self.source if self.says_port else None
        answer = self.session.get(f"http://{self.server}:{WEB_PORT}/", timeout=300)
        answer.raise_for_status()
        says = self.account.says_client or self.says_port
        self.account.add(here.span, self.source, (self.server, WEB_PORT), says)


class Stock:
    """A client that speaks gRPC."""

    def __init__(self, account, server):
        self.account, self.server = account, server
        # Otherwise all of them would share a connection.
        channel = grpc.insecure_channel(
            f"{server}:{STOCK_PORT}", [("grpc.use_local_subchannel_pool", 1)]
        )
        self.watch = channel.unary_stream(f"/{SERVICE}/{METHOD}")

    def call(self):
        (peer,) = self.watch(b"", timeout=300)
        client, port = peer.decode().split(":", 1)[1].rsplit(":", 1)
        self.account.add(here.span, (client, int(port)), (self.server, STOCK_PORT))


def local_port(span, _):
    if here.local:
        span.set_attribute("network.local.address", here.local[0])
        span.set_attribute("network.local.port", here.local[1])


def main():
    address, server, calls = sys.argv[1], sys.argv[2], int(sys.argv[3])
    propagates = sys.argv[4] == "yes"
    provider = start_tracing("client", propagates, Last())
    RequestsInstrumentor().instrument(request_hook=local_port)
    GrpcInstrumentorClient().instrument()
    account = Account("client", says_client=propagates)
    clients = [Stock(account, server) for _ in range(calls // 2)]
    for number in range(calls // 2):
        source = (address, FIRST_PORT + number)
        clients.append(Web(account, source, server, not propagates and number % 2 == 0))
    say(event="ready")
    with futures.ThreadPoolExecutor(max_workers=calls) as pool:
        for command in commands():
            if command == "call":
                list(pool.map(lambda client: client.call(), clients))
                say(event="answered")
            elif command == "end":
                provider.shutdown()
                account.tell()
                say(event="end")


if __name__ == "__main__":
    main()
