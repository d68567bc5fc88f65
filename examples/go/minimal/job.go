package minimal

import (
	"fmt"
	"log"
	"runtime/debug"

	wire "example.com/queuecall-go/gen/queuecall/v1"
	"google.golang.org/grpc/status"
)

// Handle runs a job and answers its result. An error is a failure, with the code and the details of its gRPC status.
type Handle func(*wire.Delivery) ([]byte, error)

// run answers how the attempt ended. A panic is a failure.
func (handle Handle) run(job *wire.Delivery) (settlement *wire.Settlement) {
	settlement = &wire.Settlement{Queue: job.Queue, JobId: job.JobId, LeaseToken: job.LeaseToken}
	defer func() {
		if panicked := recover(); panicked != nil {
			log.Printf("%v\n%s", panicked, debug.Stack())
			settlement.Outcome = failed(fmt.Errorf("panic: %v", panicked))
		}
	}()
	result, err := handle(job)
	if err != nil {
		settlement.Outcome = failed(err)
		return settlement
	}
	payload := &wire.Payload{Data: result, ContentType: job.Payload.GetContentType()}
	settlement.Outcome = &wire.Settlement_Completed{Completed: &wire.Completed{Payload: payload}}
	return settlement
}

func failed(err error) *wire.Settlement_Failed {
	return &wire.Settlement_Failed{Failed: &wire.Failed{Status: status.Convert(err).Proto(), Type: fmt.Sprintf("%T", err)}}
}
