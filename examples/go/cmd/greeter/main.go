// A worker that answers {"name": "Ada"} with {"greeting": "Hello, Ada!"}: greeter ADDRESS QUEUE
package main

import (
	"encoding/json"
	"log"
	"os"

	"example.com/queuecall-go/broker"
	wire "example.com/queuecall-go/gen/queuecall/v1"
	"example.com/queuecall-go/minimal"
)

func greet(job *wire.Delivery) ([]byte, error) {
	var request struct{ Name string }
	if err := json.Unmarshal(job.GetPayload().GetData(), &request); err != nil {
		return nil, err
	}
	return json.Marshal(map[string]string{"greeting": "Hello, " + request.Name + "!"})
}

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: greeter ADDRESS QUEUE")
	}
	connection, err := broker.Dial(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	minimal.Work(wire.NewWorkerServiceClient(connection), &wire.Subscription{Queue: os.Args[2]}, 4, greet)
}
