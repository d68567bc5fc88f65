// Package service serves the unary methods of a gRPC service from its queue, with the implementation that a server would have.
package service

import (
	"context"

	wire "example.com/queuecall-go/gen/queuecall/v1"
	"example.com/queuecall-go/minimal"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
)

// Work serves for ever, up to window calls at a time. An error is one of the descriptors.
func Work(client wire.WorkerServiceClient, service *grpc.ServiceDesc, implementation any, window uint32) error {
	descriptors, err := describe(service)
	if err != nil {
		return err
	}
	subscription := &wire.Subscription{Queue: service.ServiceName, DescriptorSet: descriptors}
	methods := map[string]grpc.MethodDesc{} // streaming ones are not among them
	for _, method := range service.Methods {
		path := "/" + service.ServiceName + "/" + method.MethodName
		methods[path] = method
		subscription.Methods = append(subscription.Methods, path)
	}
	minimal.Work(client, subscription, window, func(job *wire.Delivery) ([]byte, error) {
		method, ok := methods[job.GetMethod()]
		if !ok {
			return nil, status.Errorf(codes.Unimplemented, "%s is not served here", job.GetMethod())
		}
		decode := func(request any) error { return proto.Unmarshal(job.GetPayload().GetData(), request.(proto.Message)) }
		ctx := metadata.NewIncomingContext(context.Background(), metadata.New(job.GetHeaders()))
		response, err := method.Handler(implementation, ctx, decode, nil)
		if err != nil {
			return nil, err
		}
		return proto.Marshal(response.(proto.Message))
	})
	return nil
}

// describe answers a FileDescriptorSet of the service's file and all that it imports, for JSON and reflection at the broker.
func describe(service *grpc.ServiceDesc) ([]byte, error) {
	file, err := protoregistry.GlobalFiles.FindFileByPath(service.Metadata.(string))
	if err != nil {
		return nil, err
	}
	set, added := &descriptorpb.FileDescriptorSet{}, map[string]bool{}
	var add func(protoreflect.FileDescriptor)
	add = func(file protoreflect.FileDescriptor) {
		if added[file.Path()] {
			return
		}
		added[file.Path()] = true
		for i := range file.Imports().Len() {
			add(file.Imports().Get(i))
		}
		set.File = append(set.File, protodesc.ToFileDescriptorProto(file))
	}
	add(file)
	return proto.Marshal(set)
}
