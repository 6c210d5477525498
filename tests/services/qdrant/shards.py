"""Collections on disk: one engine shard each, in a directory of its name, beside the request that made it."""

import os
import shutil
import threading

import qdrant_edge as engine
from qdrant_client.grpc import collections_pb2

import translate
from translate import Refused

REQUEST = "create.pb"
SHARD = "shard"


class Collection:
    """A shard, and the request that made it."""

    def __init__(self, directory, request):
        self.directory = directory
        self.request = request
        self.lock = threading.Lock()
        self.operations = 0
        shard = os.path.join(directory, SHARD)
        if os.path.exists(shard):
            self.shard = engine.EdgeShard.load(shard)
            return
        config = translate.shard_config(request)
        os.makedirs(directory)
        self.shard = engine.EdgeShard.create(shard, config)
        # Last: a directory without it was not finished, and is made again at the next start.
        with open(os.path.join(directory, REQUEST), "wb") as file:
            file.write(request.SerializeToString())

    def update(self, operation):
        """Applies one operation; gives its number."""
        with self.lock:
            self.shard.update(operation)
            self.operations += 1
            return self.operations

    def describe(self):
        """What the server tells of a collection: its parameters as they were asked, its counts, its indexes."""
        state = self.shard.info()
        info = collections_pb2.CollectionInfo(
            status=collections_pb2.CollectionStatus.Green,
            optimizer_status=collections_pb2.OptimizerStatus(ok=True),
            segments_count=state.segments_count,
            points_count=state.points_count,
            indexed_vectors_count=state.indexed_vectors_count,
        )
        info.config.params.shard_number = 1
        for field in ("vectors_config", "sparse_vectors_config"):
            if self.request.HasField(field):
                getattr(info.config.params, field).CopyFrom(getattr(self.request, field))
        # Fields of these that are not optional must be there, or the client calls the reply malformed.
        info.config.hnsw_config.SetInParent()
        info.config.optimizer_config.SetInParent()
        info.config.wal_config.SetInParent()
        for name, index in (state.payload_schema or {}).items():
            info.payload_schema[name].data_type = translate.payload_type(index.data_type)
            info.payload_schema[name].points = index.points
        return info


class Shards:
    """All collections of a data directory."""

    def __init__(self, directory):
        self.directory = directory
        self.lock = threading.Lock()
        self.collections = {}
        os.makedirs(directory, exist_ok=True)
        for name in os.listdir(directory):
            path = os.path.join(directory, name)
            try:
                with open(os.path.join(path, REQUEST), "rb") as file:
                    request = collections_pb2.CreateCollection.FromString(file.read())
            except FileNotFoundError:
                shutil.rmtree(path)
                continue
            self.collections[name] = Collection(path, request)

    def names(self):
        return list(self.collections)

    def get(self, name):
        collection = self.collections.get(name)
        if collection is None:
            raise Refused.not_found(f"Collection `{name}` doesn't exist!")
        return collection

    def create(self, request):
        name = request.collection_name
        if not name or "/" in name or name in (".", ".."):
            raise Refused.invalid(f"collection name `{name}`")
        with self.lock:
            if name in self.collections:
                raise Refused.exists(f"Collection `{name}` already exists!")
            self.collections[name] = Collection(os.path.join(self.directory, name), request)

    def delete(self, name):
        with self.lock:
            collection = self.collections.pop(name, None)
            if collection is None:
                return False
            with collection.lock:
                collection.shard.close()
                shutil.rmtree(collection.directory)
            return True

    def close(self):
        for collection in self.collections.values():
            with collection.lock:
                collection.shard.close()
