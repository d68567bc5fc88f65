package minimal

import (
	"sync"
	"time"

	wire "example.com/queuecall-go/gen/queuecall/v1"
)

type worker struct {
	handle     Handle
	sync.Mutex // of what follows; and a stream takes one message at a time
	out        wire.WorkerService_WorkClient
	due        map[uint64]*wire.Settlement // without an answer, by settle_id
	settleID   uint64
}

func (w *worker) open(stream wire.WorkerService_WorkClient, hello *wire.Hello) {
	w.Lock()
	defer w.Unlock()
	w.out = stream
	stream.Send(&wire.WorkRequest{Kind: &wire.WorkRequest_Hello{Hello: hello}})
	for _, settlement := range w.due {
		w.say(&wire.WorkerFrame{Settlements: []*wire.Settlement{settlement}})
	}
}

func (w *worker) take(frame *wire.BrokerFrame) {
	w.Lock()
	defer w.Unlock()
	if frame.GetSeq() > 0 {
		w.say(&wire.WorkerFrame{ReceivedSeq: frame.Seq})
	}
	if ping := frame.GetPing(); ping != nil {
		w.say(&wire.WorkerFrame{Pong: &wire.Pong{Nonce: ping.Nonce}})
	}
	for _, answer := range frame.GetSettled() {
		settlement := w.due[answer.SettleId]
		delete(w.due, answer.SettleId)
		final := wire.Settled_RESULT_OK <= answer.Result && answer.Result <= wire.Settled_RESULT_REJECTED
		if settlement != nil && !final {
			time.AfterFunc(time.Second, func() { w.settle(settlement) })
		}
	}
	for _, job := range frame.GetDeliveries() {
		go func() { w.settle(w.handle.run(job)) }()
	}
}

// settle sends a settlement, and again on every stream until it is answered.
func (w *worker) settle(settlement *wire.Settlement) {
	w.Lock()
	defer w.Unlock()
	if settlement.SettleId == 0 {
		w.settleID++
		settlement.SettleId = w.settleID
	}
	w.due[settlement.SettleId] = settlement
	w.say(&wire.WorkerFrame{Settlements: []*wire.Settlement{settlement}})
}

// say is for holders of the lock. An error here is one of Recv, too.
func (w *worker) say(frame *wire.WorkerFrame) {
	w.out.Send(&wire.WorkRequest{Kind: &wire.WorkRequest_Frame{Frame: frame}})
}
