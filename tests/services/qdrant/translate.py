"""Qdrant's messages to the engine's types and back. Pure: no shard, no file, no network."""

import uuid

import grpc
import qdrant_edge as engine
from qdrant_client.grpc import collections_pb2, json_with_int_pb2, points_pb2, qdrant_common_pb2

# Fields of a query. `params` speaks of approximate search; here search is exact.
QUERY = ("prefetch", "query", "using", "filter", "score_threshold", "limit", "offset", "with_vectors", "with_payload",
         "params")
# Fields of a collection that tune a real server and change no answer of an exact search.
TUNING = ("hnsw_config", "optimizers_config", "wal_config", "on_disk_payload", "shard_number", "replication_factor",
          "write_consistency_factor", "timeout", "metadata")


class Refused(Exception):
    """An answer that is a gRPC status."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code

    @classmethod
    def invalid(cls, what):
        return cls(grpc.StatusCode.INVALID_ARGUMENT, f"Wrong input: {what}")

    @classmethod
    def exists(cls, what):
        return cls(grpc.StatusCode.ALREADY_EXISTS, f"Wrong input: {what}")

    @classmethod
    def not_found(cls, what):
        return cls(grpc.StatusCode.NOT_FOUND, f"Not found: {what}")

    @classmethod
    def unimplemented(cls, what):
        return cls(grpc.StatusCode.UNIMPLEMENTED, f"the test server has no {what}")


def only(message, *fields):
    """Refuses a message that has a field set which nobody would read."""
    for field, _ in message.ListFields():
        if field.name not in fields:
            raise Refused.unimplemented(f"`{field.name}` of `{message.DESCRIPTOR.name}`")


def optional(message, *fields):
    """The fields that are set, by name."""
    return {name: getattr(message, name) for name in fields if message.HasField(name)}


# ---- collections ----


def shard_config(request):
    only(request, "collection_name", "vectors_config", "sparse_vectors_config", *TUNING)
    vectors = request.vectors_config
    match vectors.WhichOneof("config"):
        case "params":
            dense = dense_params(vectors.params)
        case "params_map":
            dense = {name: dense_params(params) for name, params in vectors.params_map.map.items()}
        case None:
            dense = None
    sparse = {name: sparse_params(params) for name, params in request.sparse_vectors_config.map.items()}
    # The engine makes a thread pool for each shard, as wide as the machine unless told.
    return engine.EdgeConfig(vectors=dense, sparse_vectors=sparse or None, max_search_threads=2)


def dense_params(params):
    only(params, "size", "distance", "hnsw_config", "on_disk")
    distance = collections_pb2.Distance.Name(params.distance)
    return engine.EdgeVectorParams(size=params.size, distance=getattr(engine.Distance, distance))


def sparse_params(params):
    only(params, "modifier", "index")
    idf = params.modifier == collections_pb2.Modifier.Idf
    return engine.EdgeSparseVectorParams(modifier=engine.Modifier.Idf if idf else None)


def index_schema(request):
    params = request.field_index_params
    match params.WhichOneof("index_params"):
        case None:
            return getattr(engine.PayloadSchemaType, points_pb2.FieldType.Name(request.field_type).removeprefix("FieldType"))
        case "keyword_index_params":
            only(params.keyword_index_params, "is_tenant", "on_disk")
            return engine.KeywordIndexParams(**optional(params.keyword_index_params, "is_tenant", "on_disk"))
        case other:
            raise Refused.unimplemented(other)


def payload_type(name):
    """The engine's word for an index, `Keyword` or `PayloadSchemaType.Keyword`, as the message's enum."""
    word = str(name).rsplit(".", 1)[-1].capitalize()
    return collections_pb2.PayloadSchemaType.Value(word)


# ---- points ----


def point(message):
    vectors = message.vectors
    match vectors.WhichOneof("vectors_options"):
        case "vectors":
            values = {name: point_vector(v) for name, v in vectors.vectors.vectors.items()}
        case "vector":
            values = point_vector(vectors.vector)
        case None:
            values = {}
    return engine.Point(point_id(message.id), values, {key: value(v) for key, v in message.payload.items()})


def point_id(message):
    match message.WhichOneof("point_id_options"):
        case "num":
            return message.num
        case "uuid":
            try:
                return uuid.UUID(message.uuid)
            except ValueError:
                raise Refused.invalid(f"Unable to parse UUID: {message.uuid}") from None
        case None:
            raise Refused.invalid("a point without id")


def point_id_out(identity):
    if isinstance(identity, int):
        return qdrant_common_pb2.PointId(num=identity)
    return qdrant_common_pb2.PointId(uuid=str(identity))


def point_vector(message):
    match message.WhichOneof("vector"):
        case None if message.HasField("indices"):  # as clients sent it before there were kinds
            return engine.SparseVector(indices=list(message.indices.data), values=list(message.data))
        case None:
            return list(message.data)
        case kind:
            return vector(kind, message)


def vector(kind, message):
    match kind:
        case "dense":
            return list(message.dense.data)
        case "sparse":
            return engine.SparseVector(indices=list(message.sparse.indices), values=list(message.sparse.values))
        case _:
            raise Refused.unimplemented(f"vector of kind {kind}")


def value(message):
    """A payload value as Python has it."""
    match message.WhichOneof("kind"):
        case None | "null_value":
            return None
        case "struct_value":
            return {key: value(v) for key, v in message.struct_value.fields.items()}
        case "list_value":
            return [value(v) for v in message.list_value.values]
        case kind:
            return getattr(message, kind)


def value_out(thing):
    Value = json_with_int_pb2.Value
    match thing:
        case None:
            return Value(null_value=0)
        case bool():  # before int: a bool is one
            return Value(bool_value=thing)
        case int():
            return Value(integer_value=thing)
        case float():
            return Value(double_value=thing)
        case str():
            return Value(string_value=thing)
        case dict():
            return Value(struct_value=json_with_int_pb2.Struct(fields={k: value_out(v) for k, v in thing.items()}))
        case _:
            return Value(list_value=json_with_int_pb2.ListValue(values=[value_out(v) for v in thing]))


def payload_out(payload):
    return {key: value_out(thing) for key, thing in (payload or {}).items()}


def vector_out(thing):
    if isinstance(thing, engine.SparseVector):
        return points_pb2.VectorOutput(sparse=points_pb2.SparseVector(indices=thing.indices, values=thing.values))
    return points_pb2.VectorOutput(dense=points_pb2.DenseVector(data=thing))


def vectors_out(vectors):
    if vectors is None:
        return None
    if isinstance(vectors, dict):
        named = points_pb2.NamedVectorsOutput(vectors={name: vector_out(v) for name, v in vectors.items()})
        return points_pb2.VectorsOutput(vectors=named)
    return points_pb2.VectorsOutput(vector=vector_out(vectors))


def retrieved(found):
    return points_pb2.RetrievedPoint(
        id=point_id_out(found.id), payload=payload_out(found.payload), vectors=vectors_out(found.vector))


def scored(found):
    return points_pb2.ScoredPoint(
        id=point_id_out(found.id), payload=payload_out(found.payload), vectors=vectors_out(found.vector),
        score=found.score, version=found.version)


# ---- filters ----


def conditions(message):
    def group(members):
        return [condition(member) for member in members] or None

    only(message, "must", "should", "must_not")
    return engine.Filter(must=group(message.must), should=group(message.should), must_not=group(message.must_not))


def filter_of(message):
    return conditions(message.filter) if message.HasField("filter") else None


def condition(message):
    match message.WhichOneof("condition_one_of"):
        case "field":
            return field_condition(message.field)
        case "filter":
            return conditions(message.filter)
        case "has_id":
            return engine.HasIdCondition({point_id(i) for i in message.has_id.has_id})
        case "is_empty":
            return engine.IsEmptyCondition(message.is_empty.key)
        case "is_null":
            return engine.IsNullCondition(message.is_null.key)
        case other:
            raise Refused.unimplemented(f"condition {other}")


def field_condition(message):
    only(message, "key", "match", "range")
    if message.HasField("match"):
        return engine.FieldCondition(key=message.key, match=field_match(message.match))
    return engine.FieldCondition(key=message.key, range=engine.RangeFloat(**optional(message.range, "lt", "lte", "gt", "gte")))


def field_match(message):
    kind = message.WhichOneof("match_value")
    match kind:
        case "keyword" | "integer" | "boolean":
            return engine.MatchValue(getattr(message, kind))
        case "keywords":
            return engine.MatchAny(list(message.keywords.strings))
        case "integers":
            return engine.MatchAny(list(message.integers.integers))
        case "except_keywords":
            return engine.MatchExcept(list(message.except_keywords.strings))
        case "except_integers":
            return engine.MatchExcept(list(message.except_integers.integers))
        case _:
            raise Refused.unimplemented(f"match {kind}")


# ---- questions ----


def with_payload(message, default):
    match message.with_payload.WhichOneof("selector_options"):
        case None:
            return default
        case "enable":
            return message.with_payload.enable
        case "include":
            return engine.PayloadSelector.Include(list(message.with_payload.include.fields))
        case "exclude":
            return engine.PayloadSelector.Exclude(list(message.with_payload.exclude.fields))


def with_vectors(message):
    match message.with_vectors.WhichOneof("selector_options"):
        case None:
            return False
        case "enable":
            return message.with_vectors.enable
        case "include":
            return list(message.with_vectors.include.names)


def scroll(message):
    return engine.ScrollRequest(
        offset=point_id(message.offset) if message.HasField("offset") else None,
        limit=message.limit if message.HasField("limit") else 10,
        filter=filter_of(message),
        with_payload=with_payload(message, default=True),
        with_vector=with_vectors(message))


def count(message):
    return engine.CountRequest(exact=True, filter=filter_of(message))


def query_batch(messages):
    return engine.QueryBatchRequest([query_request(message) for message in messages])


def query_request(message):
    return engine.QueryRequest(
        limit=limit(message),
        offset=message.offset if message.HasField("offset") else None,
        query=query(message),
        prefetches=prefetches(message),
        filter=filter_of(message),
        score_threshold=threshold(message),
        with_payload=with_payload(message, default=False),
        with_vector=with_vectors(message))


def prefetches(message):
    inner = []
    for part in message.prefetch:
        only(part, "prefetch", "query", "using", "filter", "params", "score_threshold", "limit")
        inner.append(engine.Prefetch(
            limit=limit(part), query=query(part), prefetches=prefetches(part), filter=filter_of(part),
            score_threshold=threshold(part)))
    return inner or None


def limit(message):
    return message.limit if message.HasField("limit") else 10


def threshold(message):
    return message.score_threshold if message.HasField("score_threshold") else None


def query(message):
    """The question of a request or of a prefetch. A server's RRF constant is 2 unless the query names another."""
    if not message.HasField("query"):
        return None
    using = message.using if message.HasField("using") else None
    match message.query.WhichOneof("variant"):
        case "nearest":
            nearest = message.query.nearest
            return engine.Query.Nearest(vector(nearest.WhichOneof("variant"), nearest), using)
        case "fusion" if message.query.fusion == points_pb2.Fusion.RRF:
            return fusion(message, 2, None)
        case "rrf":
            rrf = message.query.rrf
            return fusion(message, rrf.k if rrf.HasField("k") else 2, list(rrf.weights) or None)
        case other:
            raise Refused.unimplemented(f"query {other}")


def fusion(message, k, weights):
    if not message.prefetch:
        raise Refused.invalid("cannot do fusion without prefetch")
    return engine.Fusion.Rrf(k=k, weights=weights)
