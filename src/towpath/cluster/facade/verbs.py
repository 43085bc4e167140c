"""The verbs of the API on resources: from a parsed request to the kernel and back to a response."""

from collections.abc import Sequence

import orjson
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from towpath.aio.clock import Clock
from towpath.cluster.facade.bodies import (
    BODY_LIMIT,
    decode_body,
    decode_object,
    delete_options,
    patch_type,
    write_options,
)
from towpath.cluster.facade.paths import ResourceRequest
from towpath.cluster.facade.representation import Representation, parse_accept, represent, represent_list
from towpath.cluster.facade.streaming import (
    WATCH_SECONDS,
    EventEncoder,
    PodLogs,
    begin,
    open_watch,
    watch_lines,
)
from towpath.cluster.kernel.kernel import Kernel
from towpath.cluster.kernel.scale import scale_of
from towpath.cluster.kernel.written import Written
from towpath.http.body import BodyTooLargeError, read_body
from towpath.kube.errors import BadRequestError, MethodNotAllowedError
from towpath.kube.objects import Object, find_path, gvk_of, name_of, namespace_of, uid_of
from towpath.kube.requests import DeleteOptions, Patch

JSON = "application/json"


class Verbs:
    """Carries out resource requests."""

    def __init__(self, kernel: Kernel, *, logs: PodLogs, clock: Clock) -> None:
        self._kernel = kernel
        self._logs = logs
        self._clock = clock

    async def respond(self, request: Request, asked: ResourceRequest) -> Response:
        """The response to a request. Raises ApiError."""
        if asked.subresource == "log":
            return await self._log(request, asked)
        if asked.verb == "watch":
            return self._watch(request, asked)
        if asked.verb == "list":
            return self._list(request, asked)
        if asked.verb == "get":
            return self._get(request, asked)
        return await self._write(request, asked)

    def _get(self, request: Request, asked: ResourceRequest) -> Response:
        if asked.subresource == "scale":
            return _json(scale_of(self._kernel.get(asked.resource.gvk, asked.name, asked.namespace)))
        obj = self._kernel.get(asked.resource.gvk, asked.name, asked.namespace)
        return self._object(request, obj)

    def _list(self, request: Request, asked: ResourceRequest) -> Response:
        query = request.query_params
        page = self._kernel.list(
            asked.resource.gvk,
            asked.namespace,
            labels=query.get("labelSelector", ""),
            fields=query.get("fieldSelector", ""),
            limit=_number(query.get("limit", "0"), "limit"),
            continue_token=query.get("continue", ""),
        )
        metadata: dict[str, object] = {"resourceVersion": page.resource_version}
        if page.continue_token:
            metadata["continue"] = page.continue_token
        if page.remaining is not None:
            metadata["remainingItemCount"] = page.remaining
        representation = parse_accept(request.headers.get("accept", ""))
        now = self._clock.now()
        return _json(represent_list(asked.resource.gvk, page.items, representation, metadata=metadata, now=now))

    def _watch(self, request: Request, asked: ResourceRequest) -> Response:
        query = request.query_params
        watch = open_watch(self._kernel, asked, query)
        encoder = EventEncoder(asked, parse_accept(request.headers.get("accept", "")), self._clock)
        seconds = _number(query.get("timeoutSeconds", "0"), "timeoutSeconds") or WATCH_SECONDS
        return StreamingResponse(watch_lines(watch, encoder, timeout_seconds=float(seconds)), media_type=JSON)

    async def _log(self, request: Request, asked: ResourceRequest) -> Response:
        query = request.query_params
        pod = self._kernel.get(asked.resource.gvk, asked.name, asked.namespace)
        chunks = self._logs.logs(
            asked.namespace,
            asked.name,
            _container(pod, query.get("container", "")),
            previous=_flag(query.get("previous", "")),
            follow=_flag(query.get("follow", "")),
            tail_lines=_number(query["tailLines"], "tailLines") if "tailLines" in query else None,
            since_seconds=float(_number(query["sinceSeconds"], "sinceSeconds")) if "sinceSeconds" in query else None,
            timestamps=_flag(query.get("timestamps", "")),
        )
        return StreamingResponse(await begin(chunks), media_type="text/plain")

    async def _write(self, request: Request, asked: ResourceRequest) -> Response:
        try:
            body = await read_body(request, limit=BODY_LIMIT)
        except BodyTooLargeError as error:
            raise BadRequestError(f"request body is too large: limit is {error.limit} bytes") from error
        if asked.verb == "delete":
            return self._delete(request, asked, body)
        if asked.verb == "deletecollection":
            return self._delete_collection(request, asked, body)
        written = self._store(request, asked, body)
        return self._object(request, written.object, warnings=written.warnings, status=201 if written.created else 200)

    def _store(self, request: Request, asked: ResourceRequest, body: bytes) -> Written:
        content_type = request.headers.get("content-type", "")
        options = write_options(
            request.query_params, user_agent=request.headers.get("user-agent", ""), subresource=asked.subresource
        )
        gvk = asked.resource.gvk
        if asked.verb == "patch":
            kind = patch_type(content_type)
            if kind is not None:
                patch = Patch(kind, decode_body(body, content_type))
                return self._kernel.patch(gvk, asked.name, asked.namespace, patch, options)
        obj = decode_object(body, content_type)
        if asked.subresource == "scale":
            return self._kernel.update_scale(gvk, obj, options)
        _match(obj, asked)
        if asked.verb == "patch":
            return self._kernel.apply(obj, options)
        return self._kernel.create(obj, options) if asked.verb == "create" else self._kernel.update(obj, options)

    def _delete(self, request: Request, asked: ResourceRequest, body: bytes) -> Response:
        options = _delete_options(request, body)
        written = self._kernel.delete(asked.resource.gvk, asked.name, asked.namespace, options)
        if not written.removed:  # finalizers or a grace period: the object as it stands
            return self._object(request, written.object, warnings=written.warnings)
        details = {
            "name": asked.name,
            **({"group": asked.resource.gvk.group} if asked.resource.gvk.group else {}),
            "kind": asked.resource.plural,
            "uid": uid_of(written.object),
        }
        return _json({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details})

    def _delete_collection(self, request: Request, asked: ResourceRequest, body: bytes) -> Response:
        query = request.query_params
        gvk = asked.resource.gvk
        page = self._kernel.list(
            gvk,
            asked.namespace,
            labels=query.get("labelSelector", ""),
            fields=query.get("fieldSelector", ""),
        )
        options = _delete_options(request, body)
        for obj in page.items:
            self._kernel.delete(gvk, name_of(obj), namespace_of(obj), options)
        metadata = {"resourceVersion": page.resource_version}
        representation = parse_accept(request.headers.get("accept", ""))
        return _json(represent_list(gvk, page.items, representation, metadata=metadata, now=self._clock.now()))

    def _object(self, request: Request, obj: Object, *, warnings: Sequence[str] = (), status: int = 200) -> Response:
        representation = parse_accept(request.headers.get("accept", ""))
        if representation is not Representation.OBJECT:
            obj = represent(obj, representation, now=self._clock.now())
        response = _json(obj, status=status)
        for warning in warnings:
            escaped = warning.replace("\\", "\\\\").replace('"', '\\"')
            response.headers.append("Warning", f'299 - "{escaped}"')
        return response


def _json(document: object, *, status: int = 200) -> Response:
    return Response(orjson.dumps(document), status, media_type=JSON)


def _delete_options(request: Request, body: bytes) -> DeleteOptions:
    document = decode_body(body, request.headers.get("content-type", "")) if body else {}
    return delete_options(request.query_params, document if isinstance(document, dict) else {})


def _match(obj: Object, asked: ResourceRequest) -> None:
    """What the body says of itself must be what the path says; what it leaves out is filled in."""
    gvk = gvk_of(obj)
    if gvk != asked.resource.gvk:
        raise BadRequestError(
            f"the API version in the data ({gvk.api_version}, Kind={gvk.kind}) does not match the expected API version "
            f"({asked.resource.gvk.api_version}, Kind={asked.resource.gvk.kind})"
        )
    metadata = obj.setdefault("metadata", {})
    if not isinstance(metadata, dict):
        raise BadRequestError("metadata: must be an object")
    if asked.name and metadata.setdefault("name", asked.name) != asked.name:
        raise BadRequestError(
            f"the name of the object ({metadata['name']}) does not match the name on the URL ({asked.name})"
        )
    if asked.namespace and (metadata.get("namespace") or asked.namespace) != asked.namespace:
        raise BadRequestError("the namespace of the provided object does not match the namespace sent on the request")
    if asked.namespace:
        metadata["namespace"] = asked.namespace


def _container(pod: Object, wanted: str) -> str:
    spec = pod.get("spec") or {}
    names = [one["name"] for one in [*(spec.get("containers") or []), *(spec.get("initContainers") or [])]]
    if wanted:
        if wanted not in names:
            raise BadRequestError(f"container {wanted} is not valid for pod {name_of(pod)}")
        return wanted
    if len(find_path(pod, "spec", "containers") or []) > 1:
        raise BadRequestError(
            f"a container name must be specified for pod {name_of(pod)}, choose one of: [{' '.join(names)}]"
        )
    return str(names[0])


def _number(text: str, field: str) -> int:
    if not text.isdecimal():
        raise BadRequestError(f'{field}: Invalid value: "{text}": must be a number')
    return int(text)


def _flag(text: str) -> bool:
    return text.lower() in {"true", "1"}


def require_method(method: str, allowed: Sequence[str]) -> None:
    """Raises MethodNotAllowedError unless the method is one of those."""
    if method not in allowed:
        raise MethodNotAllowedError(f"the server does not allow this method on the requested resource: {method}")
