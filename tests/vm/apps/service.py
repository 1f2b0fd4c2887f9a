"""The service: HTTP/1.1 and gRPC, instrumented by OpenTelemetry's own packages.

    service.py ADDRESS CALLS PROPAGATES

Of the first CALLS requests, none is answered before all have come and the test says `release`;
later ones are answered at once. At `end` it sends its spans and tells about them.
"""

import sys
import threading
from concurrent import futures

import grpc
from cheroot.wsgi import Server
from common import METHOD, SERVICE, STOCK_PORT, WEB_PORT, Account, commands, say, start_tracing
from opentelemetry import trace
from opentelemetry.instrumentation.grpc import GrpcInstrumentorServer
from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware


class Gate:
    """Closed until it is released."""

    def __init__(self, calls):
        self.left = calls
        self.lock = threading.Lock()
        self.released = threading.Event()

    def pass_through(self):
        with self.lock:
            self.left -= 1
            if self.left == 0:
                say(event="all have come")
        self.released.wait()


def main():
    address, calls, propagates = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "yes"
    provider = start_tracing("service", propagates)
    account, gate = Account("server", says_client=True), Gate(calls)

    def answer(environ, start_response):
        client = environ["REMOTE_ADDR"], int(environ["REMOTE_PORT"])
        account.add(trace.get_current_span(), client, (address, WEB_PORT))
        gate.pass_through()
        start_response("200 OK", [("Content-Length", "2")])
        return [b"ok"]

    def watch(_, context):
        # Such as ipv4:10.0.0.1:40000.
        client, port = context.peer().split(":", 1)[1].rsplit(":", 1)
        account.add(trace.get_current_span(), (client, int(port)), (address, STOCK_PORT))
        gate.pass_through()
        yield context.peer().encode()

    web = Server(
        (address, WEB_PORT), OpenTelemetryMiddleware(answer), numthreads=calls, timeout=300
    )
    web.keep_alive_conn_limit = None
    web.prepare()
    threading.Thread(target=web.serve, daemon=True).start()
    GrpcInstrumentorServer().instrument()
    stock = grpc.server(futures.ThreadPoolExecutor(max_workers=calls))
    handler = grpc.unary_stream_rpc_method_handler(watch)
    stock.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(SERVICE, {METHOD: handler}),)
    )
    stock.add_insecure_port(f"{address}:{STOCK_PORT}")
    stock.start()
    say(event="ready")
    for command in commands():
        if command == "release":
            gate.released.set()
        elif command == "end":
            web.stop()
            stock.stop(grace=None).wait()
            provider.shutdown()
            account.tell()
            say(event="end")


if __name__ == "__main__":
    main()
