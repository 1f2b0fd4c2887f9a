"""What both applications of the test share: their tracer, and their own account of their spans.

The account is the truth that the test goes by: it comes from the applications' sockets and from the
SDK, and nothing of it from upspan.
"""

import json
import os
import sys
import threading

from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

WEB_PORT = 8080
STOCK_PORT = 50051
# Of the gRPC method, as both sides name it.
SERVICE, METHOD = "shop.Stock", "Watch"

output = threading.Lock()


def say(**words):
    """A line for the test, which reads standard output."""
    with output:
        print(json.dumps(words), flush=True)


class Alone(TextMapPropagator):
    """Says nothing to others, and listens to none."""

    fields = frozenset()

    def inject(self, carrier, context=None, setter=None):
        pass

    def extract(self, carrier, context=None, getter=None):
        return Context() if context is None else context


def start_tracing(name, propagates, *processors):
    """All spans go to upspan's receiver."""
    if not propagates:
        propagate.set_global_textmap(Alone())
    provider = TracerProvider(resource=Resource.create({"service.name": name}))
    for processor in processors:
        provider.add_span_processor(processor)
    exporter = OTLPSpanExporter(endpoint=os.environ["RECEIVER"], insecure=True, timeout=60)
    provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=1000))
    trace.set_tracer_provider(provider)
    return provider


class Account:
    """Spans, and the connections that they were about."""

    def __init__(self, side, says_client):
        self.side = side
        self.says_client = says_client
        self.spans = []
        self.lock = threading.Lock()

    def add(self, span, client, server, says_client=None):
        """Both ends of the connection are pairs of an address and a port. `says_client` is whether
        the span itself, or one that is known to be its child, names the client's port."""
        says_client = self.says_client if says_client is None else says_client
        with self.lock:
            self.spans.append((span, client, server, says_client))

    def tell(self):
        for span, client, server, says_client in self.spans:
            context = span.get_span_context()
            say(
                trace_id=f"{context.trace_id:032x}",
                span_id=f"{context.span_id:016x}",
                side=self.side,
                start=span.start_time,
                end=span.end_time,
                client="%s:%d" % tuple(client[:2]),
                server="%s:%d" % tuple(server[:2]),
                says_client=says_client,
            )


def commands():
    """What the test asks for, a word a line."""
    for line in sys.stdin:
        yield line.strip()
