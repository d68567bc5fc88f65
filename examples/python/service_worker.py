"""Serves the unary methods of a gRPC service from its queue, with the implementation that a server would have."""
import grpc
from google.protobuf import descriptor_pb2, message_factory
from minimal_worker import work


class Refused(Exception):
    """A status that an implementation ended its call with."""

    def __init__(self, code, details):
        super().__init__(details)
        self.status_code = code.value[0]


class Context:
    """What there is of a grpc.ServicerContext."""

    def __init__(self, job):
        self.job = job

    def invocation_metadata(self):
        return tuple(self.job.headers.items())

    def abort(self, code, details):
        raise Refused(code, details)


def serve(address, service, implementation, window=4):
    """Serves for ever. service: its descriptor."""
    unary = [each for each in service.methods if not (each.client_streaming or each.server_streaming)]
    methods = {f"/{service.full_name}/{each.name}": each for each in unary}

    def handle(job):
        method = methods.get(job.method)
        if method is None:
            raise Refused(grpc.StatusCode.UNIMPLEMENTED, f"{job.method} is not served here")
        request = message_factory.GetMessageClass(method.input_type).FromString(job.payload.data)
        return getattr(implementation, method.name)(request, Context(job)).SerializeToString()

    work(address, service.full_name, handle, window, methods=list(methods), descriptor_set=described(service.file))


def described(file):
    """The file and all that it imports, for JSON and reflection at the broker."""
    files, found = {}, [file]
    while found:
        each = found.pop()
        if each.name not in files:
            files[each.name] = descriptor_pb2.FileDescriptorProto()
            each.CopyToProto(files[each.name])
            found.extend(each.dependencies)
    return descriptor_pb2.FileDescriptorSet(file=files.values()).SerializeToString()
