"""Qdrant's gRPC interface in front of Qdrant's own engine, for tests.

The engine is the real one, as its embedded edition ships it; the messages are those of the official client. What this
front does not translate it refuses with UNIMPLEMENTED, it never passes over a field in silence. README.md beside the
tests lists what a real server does besides.

usage: server.py --port N --data DIRECTORY
"""

import argparse
import signal
import sys
import threading
import time
import traceback
from concurrent import futures

import stubs  # first: it makes the gRPC classes importable without the client's REST models
import grpc
from qdrant_client.grpc import collections_pb2, points_pb2, qdrant_pb2
from qdrant_client.grpc import collections_service_pb2_grpc as collections_rpc
from qdrant_client.grpc import points_service_pb2_grpc as points_rpc
from qdrant_client.grpc import qdrant_pb2_grpc as health_rpc
from qdrant_edge import UpdateOperation as Update

import translate
from shards import Shards
from translate import Refused

MAX_MESSAGE = 64 << 20
# Fields that a real server heeds and that change no answer here: one node, one shard, every write awaited.
DELIVERY = ("collection_name", "wait", "ordering", "shard_key_selector", "read_consistency", "timeout")


def rpc(method):
    """Turns what a method raises into a gRPC status, and fills in the time it took."""

    def call(self, request, context):
        begun = time.perf_counter()
        try:
            reply = method(self, request)
        except Refused as refused:
            context.abort(refused.code, str(refused))
        except Exception as error:
            # The engine raises bare exceptions for wrong input; a subclass that is not about values is a defect.
            if type(error) is Exception or isinstance(error, (ValueError, TypeError, OverflowError)):
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"Wrong input: {error}")
            traceback.print_exc()
            context.abort(grpc.StatusCode.INTERNAL, f"{type(error).__name__}: {error}")
        if any(field.name == "time" for field in reply.DESCRIPTOR.fields):
            reply.time = time.perf_counter() - begun
        return reply

    return call


class Health(health_rpc.QdrantServicer):
    """Says which server the client should take this for."""

    @rpc
    def HealthCheck(self, request):
        return qdrant_pb2.HealthCheckReply(title="qdrant - vector search engine", version="1.20.0")


class Collections(collections_rpc.CollectionsServicer):
    """Collections by name."""

    def __init__(self, shards):
        self.shards = shards

    @rpc
    def Create(self, request):
        self.shards.create(request)
        return collections_pb2.CollectionOperationResponse(result=True)

    @rpc
    def Delete(self, request):
        return collections_pb2.CollectionOperationResponse(result=self.shards.delete(request.collection_name))

    @rpc
    def List(self, request):
        names = [collections_pb2.CollectionDescription(name=name) for name in self.shards.names()]
        return collections_pb2.ListCollectionsResponse(collections=names)

    @rpc
    def CollectionExists(self, request):
        exists = collections_pb2.CollectionExists(exists=request.collection_name in self.shards.names())
        return collections_pb2.CollectionExistsResponse(result=exists)

    @rpc
    def Get(self, request):
        collection = self.shards.get(request.collection_name)
        return collections_pb2.GetCollectionInfoResponse(result=collection.describe())


class Points(points_rpc.PointsServicer):
    """Points: written, found, counted, deleted."""

    def __init__(self, shards):
        self.shards = shards

    def update(self, request, operation):
        number = self.shards.get(request.collection_name).update(operation)
        done = points_pb2.UpdateResult(operation_id=number, status=points_pb2.UpdateStatus.Completed)
        return points_pb2.PointsOperationResponse(result=done)

    @rpc
    def Upsert(self, request):
        translate.only(request, *DELIVERY, "points")
        points = [translate.point(point) for point in request.points]
        return self.update(request, Update.upsert_points(points))

    @rpc
    def Delete(self, request):
        translate.only(request, *DELIVERY, "points")
        selector = request.points
        match selector.WhichOneof("points_selector_one_of"):
            case "points":
                operation = Update.delete_points([translate.point_id(i) for i in selector.points.ids])
            case "filter":
                operation = Update.delete_points_by_filter(translate.conditions(selector.filter))
            case other:
                raise Refused.unimplemented(f"points selector {other}")
        return self.update(request, operation)

    @rpc
    def CreateFieldIndex(self, request):
        translate.only(request, *DELIVERY, "field_name", "field_type", "field_index_params")
        schema = translate.index_schema(request)
        return self.update(request, Update.create_field_index(request.field_name, schema))

    @rpc
    def Get(self, request):
        translate.only(request, *DELIVERY, "ids", "with_payload", "with_vectors")
        found = self.shards.get(request.collection_name).shard.retrieve(
            [translate.point_id(i) for i in request.ids],
            translate.with_payload(request, default=True),
            translate.with_vectors(request),
        )
        return points_pb2.GetResponse(result=[translate.retrieved(point) for point in found])

    @rpc
    def Scroll(self, request):
        translate.only(request, *DELIVERY, "filter", "offset", "limit", "with_payload", "with_vectors")
        found, following = self.shards.get(request.collection_name).shard.scroll(translate.scroll(request))
        reply = points_pb2.ScrollResponse(result=[translate.retrieved(point) for point in found])
        if following is not None:
            reply.next_page_offset.CopyFrom(translate.point_id_out(following))
        return reply

    @rpc
    def Count(self, request):
        translate.only(request, *DELIVERY, "filter", "exact")
        number = self.shards.get(request.collection_name).shard.count(translate.count(request))
        return points_pb2.CountResponse(result=points_pb2.CountResult(count=number))

    @rpc
    def Query(self, request):
        translate.only(request, *DELIVERY, *translate.QUERY)
        found = self.shards.get(request.collection_name).shard.query(translate.query_request(request))
        return points_pb2.QueryResponse(result=[translate.scored(point) for point in found])

    @rpc
    def QueryBatch(self, request):
        translate.only(request, *DELIVERY, "query_points")
        for query in request.query_points:
            translate.only(query, *DELIVERY, *translate.QUERY)
        answers = self.shards.get(request.collection_name).shard.query_batch(
            translate.query_batch(request.query_points)
        )
        results = [points_pb2.BatchResult(result=[translate.scored(p) for p in points]) for points in answers]
        return points_pb2.QueryBatchResponse(result=results)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--data", required=True)
    arguments = parser.parse_args()

    shards = Shards(arguments.data)
    options = [
        ("grpc.max_receive_message_length", MAX_MESSAGE),
        ("grpc.max_send_message_length", MAX_MESSAGE),
        # Without it a second server would share the port in silence.
        ("grpc.so_reuseport", 0),
    ]
    server = grpc.server(futures.ThreadPoolExecutor(8), options=options)
    health_rpc.add_QdrantServicer_to_server(Health(), server)
    collections_rpc.add_CollectionsServicer_to_server(Collections(shards), server)
    points_rpc.add_PointsServicer_to_server(Points(shards), server)
    if server.add_insecure_port(f"127.0.0.1:{arguments.port}") == 0:
        sys.exit(f"port {arguments.port} is taken")
    server.start()

    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    stopped.wait()
    server.stop(grace=1).wait()
    shards.close()


if __name__ == "__main__":
    main()
