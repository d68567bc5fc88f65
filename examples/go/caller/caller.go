// Package caller calls workers, with safe retries and waits that outlive brokers: docs/protocol.md.
package caller

import (
	"context"
	"crypto/rand"
	"fmt"
	mathrand "math/rand/v2"
	"time"

	wire "example.com/queuecall-go/gen/queuecall/v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
)

// WaitTimeout: the job has not ended yet. It goes on, and Wait fetches its outcome.
type WaitTimeout struct{ *status.Status }

func (t WaitTimeout) Error() string { return t.Message() }

// JobFailed is the job's own failure.
type JobFailed struct{ *wire.Job }

func (f JobFailed) Error() string {
	return fmt.Sprintf("%s: %s", f.GetJobId(), f.GetFailure().GetStatus().GetMessage())
}

// Call stores a job, waits, and answers its result. An id that exists is joined; "" is one of its own.
func Call(client wire.BrokerServiceClient, spec *wire.JobSpec, timeout time.Duration) ([]byte, error) {
	if spec.JobId == "" {
		spec.JobId = rand.Text()
	}
	// With an id of our own, and the request's, every repeat finds what the first send did.
	request := &wire.EnqueueAndWaitRequest{Spec: spec, RequestId: make([]byte, 16)}
	rand.Read(request.RequestId)
	return repeat(timeout, func(ctx context.Context, wait *durationpb.Duration) (*wire.Job, error) {
		request.WaitTimeout = wait
		answer, err := client.EnqueueAndWait(ctx, request)
		return answer.GetJob(), err
	})
}

// Wait waits for a job that exists.
func Wait(client wire.BrokerServiceClient, queue, jobID string, timeout time.Duration) ([]byte, error) {
	return repeat(timeout, func(ctx context.Context, wait *durationpb.Duration) (*wire.Job, error) {
		answer, err := client.WaitJob(ctx, &wire.WaitJobRequest{Queue: queue, JobId: jobID, WaitTimeout: wait})
		return answer.GetJob(), err
	})
}

// repeat sends until a broker has answered, or the time is over.
func repeat(timeout time.Duration, send func(context.Context, *durationpb.Duration) (*wire.Job, error)) ([]byte, error) {
	deadline := time.Now().Add(timeout)
	for failures := 0; ; failures++ {
		left := max(0, time.Until(deadline))
		// One second more than the wait: the broker's own answer says more than a deadline that fired.
		ctx, cancel := context.WithTimeout(context.Background(), left+time.Second)
		job, err := send(ctx, durationpb.New(left))
		cancel()
		if err == nil && job.GetFailure() != nil {
			return nil, JobFailed{job}
		} else if err == nil {
			return job.GetResult().GetData(), nil
		}
		reason, pause := Refusal(err)
		over := time.Until(deadline) < 50*time.Millisecond
		if reason == "WAIT_TIMEOUT" {
			if over {
				return nil, WaitTimeout{status.Convert(err)}
			}
			continue // the broker's longest wait is shorter than ours
		}
		if over || !meansRepeat(err, reason) {
			return nil, err
		}
		backoff := float64(min(5*time.Second, 100*time.Millisecond<<min(failures, 10))) * (0.5 + mathrand.Float64()/2)
		time.Sleep(min(max(pause, time.Duration(backoff)), time.Until(deadline)))
	}
}
