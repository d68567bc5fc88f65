package main

import (
	"slices"

	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	v1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	v1alpha "google.golang.org/grpc/reflection/grpc_reflection_v1alpha"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
)

var names = []string{"", "queuecall.v1.BrokerService", "nobody.Knows"}

func health(c *client) any {
	saw := map[string]string{}
	for _, name := range names {
		answer, err := healthpb.NewHealthClient(c.connection).Check(soon(), &healthpb.HealthCheckRequest{Service: name})
		if saw[name] = answer.GetStatus().String(); err != nil {
			saw[name] = codeOf(err)
		}
	}
	return saw
}

// healthWatch sees the first message of each.
func healthWatch(c *client) any {
	saw := map[string]string{}
	for _, name := range names {
		stream := must(healthpb.NewHealthClient(c.connection).Watch(soon(), &healthpb.HealthCheckRequest{Service: name}))
		saw[name] = must(stream.Recv()).GetStatus().String()
	}
	return saw
}

const symbol = "queuecall.v1.BrokerService"

func reflection(c *client) any {
	return map[string]any{"v1": reflectionV1(c), "v1alpha": reflectionV1Alpha(c)}
}

func reflectionV1(c *client) any {
	stream := must(v1.NewServerReflectionClient(c.connection).ServerReflectionInfo(soon()))
	ask := func(request *v1.ServerReflectionRequest) *v1.ServerReflectionResponse {
		if err := stream.Send(request); err != nil {
			panic(err)
		}
		return must(stream.Recv())
	}
	list := ask(&v1.ServerReflectionRequest{MessageRequest: &v1.ServerReflectionRequest_ListServices{}})
	file := ask(&v1.ServerReflectionRequest{MessageRequest: &v1.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: symbol}})
	none := ask(&v1.ServerReflectionRequest{MessageRequest: &v1.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: "nobody.Knows"}})
	listed := slices.ContainsFunc(list.GetListServicesResponse().GetService(), func(s *v1.ServiceResponse) bool { return s.Name == symbol })
	return reflected(listed, file.GetFileDescriptorResponse().GetFileDescriptorProto(), none.GetErrorResponse().GetErrorCode())
}

func reflectionV1Alpha(c *client) any {
	stream := must(v1alpha.NewServerReflectionClient(c.connection).ServerReflectionInfo(soon()))
	ask := func(request *v1alpha.ServerReflectionRequest) *v1alpha.ServerReflectionResponse {
		if err := stream.Send(request); err != nil {
			panic(err)
		}
		return must(stream.Recv())
	}
	list := ask(&v1alpha.ServerReflectionRequest{MessageRequest: &v1alpha.ServerReflectionRequest_ListServices{}})
	file := ask(&v1alpha.ServerReflectionRequest{MessageRequest: &v1alpha.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: symbol}})
	none := ask(&v1alpha.ServerReflectionRequest{MessageRequest: &v1alpha.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: "nobody.Knows"}})
	listed := slices.ContainsFunc(list.GetListServicesResponse().GetService(), func(s *v1alpha.ServiceResponse) bool { return s.Name == symbol })
	return reflected(listed, file.GetFileDescriptorResponse().GetFileDescriptorProto(), none.GetErrorResponse().GetErrorCode())
}

func reflected(listed bool, files [][]byte, unknown int32) any {
	found := slices.ContainsFunc(files, func(bytes []byte) bool {
		file := &descriptorpb.FileDescriptorProto{}
		return proto.Unmarshal(bytes, file) == nil && file.GetName() == "queuecall/v1/broker.proto"
	})
	return map[string]any{"listed": listed, "found": found, "unknown": unknown}
}
