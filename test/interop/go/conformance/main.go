// What grpc-go sees of a broker: conformance ADDRESS AGEING. A line of JSON for each check: {"check", "saw"}.
package main

import (
	"context"
	"encoding/json"
	"log"
	"os"
	"time"

	"example.com/queuecall-go/broker"
	wire "example.com/queuecall-go/gen/queuecall/v1"
	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
)

// checks answer what they saw; where they fail in a way that nobody thought of, they panic.
var checks = []struct {
	name  string
	check func(*client) any
}{
	{"health", health},
	{"health-watch", healthWatch},
	{"reflection", reflection},
	{"deadline", deadline},
	{"cancellation", cancellation},
	{"metadata", metadata},
	{"large", large},
	{"compression", compression},
	{"details", details},
	{"unimplemented", unimplemented},
	{"keepalive", keepAlive},
	{"connection-age", connectionAge},
	{"watch", watch},
	{"many", many},
}

type client struct {
	address    string
	ageing     string // of a broker with a maximum connection age of a second
	connection *grpc.ClientConn
	broker     wire.BrokerServiceClient
}

// soon is a context for calls that are answered at once.
func soon() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	time.AfterFunc(30*time.Second, cancel)
	return ctx
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func codeOf(err error) string { return code.Code(status.Code(err)).String() }

func detailsOf(err error) map[string]any {
	saw := map[string]any{"code": codeOf(err)}
	for _, detail := range status.Convert(err).Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			saw["reason"], saw["domain"] = detail.Reason, detail.Domain
		case *errdetails.BadRequest:
			saw["field"] = detail.FieldViolations[0].Field
		case *wire.WaitTimeout:
			saw["job"] = detail.JobId
		}
	}
	return saw
}

func (c *client) echo(id string, data []byte, options ...grpc.CallOption) ([]byte, error) {
	spec := &wire.JobSpec{Queue: "echo", JobId: id, Payload: &wire.Payload{Data: data}}
	answer, err := c.broker.EnqueueAndWait(soon(), &wire.EnqueueAndWaitRequest{Spec: spec}, options...)
	return answer.GetJob().GetResult().GetData(), err
}

func main() {
	connection := must(broker.Dial(os.Args[1]))
	c := &client{os.Args[1], os.Args[2], connection, wire.NewBrokerServiceClient(connection)}
	answers := json.NewEncoder(os.Stdout)
	for _, each := range checks {
		if err := answers.Encode(map[string]any{"check": each.name, "saw": each.check(c)}); err != nil {
			log.Fatal(err)
		}
	}
}
