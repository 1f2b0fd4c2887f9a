"""An OTLP/gRPC trace receiver made of grpcio and the generated code of opentelemetry-proto.

Prints the loopback port that it listens on, then each request as a line of OTLP/JSON before it
answers it. Ends with its standard input.
"""

import base64
import json
import sys
import threading
from concurrent import futures

import grpc
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

stdout_lock = threading.Lock()


def print_line(line):
    with stdout_lock:
        print(line, flush=True)


def otlp_json(request):
    """Protobuf's JSON, but with numbers for enumerators and ids in hexadecimal.

    https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding
    """
    document = MessageToDict(
        request, always_print_fields_with_no_presence=True, use_integers_for_enums=True
    )
    for resource_spans in document["resourceSpans"]:
        for scope_spans in resource_spans["scopeSpans"]:
            for span in scope_spans["spans"]:
                for owner in (span, *span["links"]):
                    for field in ("traceId", "spanId", "parentSpanId"):
                        if field in owner:
                            owner[field] = base64.b64decode(owner[field]).hex()
    return json.dumps(document)


class TraceService(trace_service_pb2_grpc.TraceServiceServicer):
    def Export(self, request, context):
        print_line(otlp_json(request))
        return trace_service_pb2.ExportTraceServiceResponse()


def main():
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=4))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(TraceService(), server)
    print_line(server.add_insecure_port("127.0.0.1:0"))
    server.start()
    sys.stdin.read()
    server.stop(grace=None).wait()


if __name__ == "__main__":
    main()
