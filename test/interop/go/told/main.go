// The example's minimal worker with a handler that can be told what to do. One line on stdout for each run.
//
// told ADDRESS QUEUE; payload: {"key", "value", "ms": how long it takes, "fail": how many runs fail first}
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"os"
	"sync"
	"time"

	"example.com/queuecall-go/broker"
	wire "example.com/queuecall-go/gen/queuecall/v1"
	"example.com/queuecall-go/minimal"
)

type request struct {
	Key   string
	Value json.RawMessage
	Ms    int
	Fail  int
}

type response struct {
	Value json.RawMessage `json:"value"`
	Runs  int             `json:"runs"`
}

// ToldTo is the class of failures.
type ToldTo struct{ message string }

func (failure ToldTo) Error() string { return failure.message }

func main() {
	connection, err := broker.Dial(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	var mutex sync.Mutex
	runs := map[string]int{}
	begin := func(key string) int {
		mutex.Lock()
		defer mutex.Unlock()
		runs[key]++
		fmt.Println("run", key, runs[key])
		return runs[key]
	}
	handle := func(job *wire.Delivery) ([]byte, error) {
		var told request
		if err := json.Unmarshal(job.GetPayload().GetData(), &told); err != nil {
			return nil, err
		}
		run := begin(told.Key)
		time.Sleep(time.Duration(told.Ms) * time.Millisecond)
		if run <= told.Fail {
			return nil, ToldTo{fmt.Sprintf("failure %d of %s", run, told.Key)}
		}
		return json.Marshal(response{told.Value, run})
	}
	minimal.Work(wire.NewWorkerServiceClient(connection), &wire.Subscription{Queue: os.Args[2]}, 4, handle)
}
