// The example's caller, one step after the other: the same as ../../steps.py.
package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"log"
	"os"
	"time"

	"example.com/queuecall-go/broker"
	"example.com/queuecall-go/caller"
	wire "example.com/queuecall-go/gen/queuecall/v1"
	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
)

type step struct {
	Call, Wait, Send string
	Data             json.RawMessage
	JobID            string `json:"job_id"`
	Timeout          *float64
	Priority         int32
	MaxAttempts      uint32                 `json:"max_attempts"`
	ResultTTL        *struct{ Seconds int } `json:"result_ttl"`
	Request          uint64
}

func (s step) spec() *wire.JobSpec {
	payload := &wire.Payload{Data: s.Data, ContentType: "application/json"}
	spec := &wire.JobSpec{Queue: s.Call, JobId: s.JobID, Payload: payload, Priority: s.Priority, MaxAttempts: s.MaxAttempts}
	if s.ResultTTL != nil {
		spec.ResultTtl = durationpb.New(time.Duration(s.ResultTTL.Seconds) * time.Second)
	}
	return spec
}

func (s step) timeout() time.Duration {
	if s.Timeout == nil {
		return 30 * time.Second
	}
	return time.Duration(*s.Timeout * float64(time.Second))
}

func (s step) take(client wire.BrokerServiceClient) (any, error) {
	var result []byte
	var err error
	switch {
	case s.Call != "":
		result, err = caller.Call(client, s.spec(), s.timeout())
	case s.Wait != "":
		result, err = caller.Wait(client, s.Wait, s.JobID, s.timeout())
	default:
		return s.send(client)
	}
	return json.RawMessage(result), err
}

// send sends one Enqueue of that request id.
func (s step) send(client wire.BrokerServiceClient) (any, error) {
	data, _ := json.Marshal(map[string]string{"key": s.JobID})
	spec := &wire.JobSpec{Queue: s.Send, JobId: s.JobID, Payload: &wire.Payload{Data: data, ContentType: "application/json"}}
	request := &wire.EnqueueRequest{Spec: spec, RequestId: binary.BigEndian.AppendUint64(make([]byte, 8), s.Request)}
	answer, err := client.Enqueue(context.Background(), request)
	return answer.GetDisposition().String(), err
}

func answerOf(result any, err error) map[string]any {
	var failed caller.JobFailed
	var late caller.WaitTimeout
	switch {
	case err == nil:
		return map[string]any{"ok": result}
	case errors.As(err, &failed):
		return map[string]any{"error": "JobFailed", "message": err.Error()}
	case errors.As(err, &late):
		return map[string]any{"error": "WaitTimeout", "message": err.Error()}
	}
	reason, _ := caller.Refusal(err)
	return map[string]any{"refused": code.Code(status.Code(err)).String(), "reason": reason}
}

func main() {
	connection, err := broker.Dial(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	client := wire.NewBrokerServiceClient(connection)
	var steps []step
	if err := json.NewDecoder(os.Stdin).Decode(&steps); err != nil {
		log.Fatal(err)
	}
	answers := json.NewEncoder(os.Stdout)
	for _, s := range steps {
		answers.Encode(answerOf(s.take(client)))
	}
}
