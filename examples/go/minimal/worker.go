// Package minimal is the minimal worker of docs/protocol.md.
package minimal

import (
	"context"
	"log"
	"math/rand/v2"
	"os"
	"time"

	wire "example.com/queuecall-go/gen/queuecall/v1"
)

// Work serves a queue for ever, up to window jobs at a time.
func Work(client wire.WorkerServiceClient, queue *wire.Subscription, window uint32, handle Handle) {
	hello := &wire.Hello{ProtocolVersion: 1, Window: window, RenewOnPong: true, Subscriptions: []*wire.Subscription{queue}}
	hello.WorkerId, _ = os.Hostname()
	w := worker{handle: handle, due: map[uint64]*wire.Settlement{}}
	for failures := 0; ; failures++ {
		welcomed, err := w.stream(client, hello)
		if welcomed {
			failures = 0
		}
		log.Print("the stream ended: ", err)
		pause := min(5*time.Second, 100*time.Millisecond<<min(failures, 10))
		time.Sleep(time.Duration(float64(pause) * (0.5 + rand.Float64()/2)))
	}
}

func (w *worker) stream(client wire.WorkerServiceClient, hello *wire.Hello) (welcomed bool, err error) {
	stream, err := client.Work(context.Background())
	if err != nil {
		return false, err
	}
	w.open(stream, hello)
	for {
		message, err := stream.Recv()
		if err != nil {
			return welcomed, err
		}
		welcomed = true
		w.take(message.GetFrame()) // nil: the welcome
	}
}
