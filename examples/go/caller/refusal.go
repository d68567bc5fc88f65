package caller

import (
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Refusal answers the broker's reason, "" if it was not the broker that spoke, and how long to wait before the next try.
func Refusal(err error) (reason string, pause time.Duration) {
	for _, detail := range status.Convert(err).Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			reason = detail.GetReason()
		case *errdetails.RetryInfo:
			pause = detail.GetRetryDelay().AsDuration()
		}
	}
	return reason, pause
}

// meansRepeat tells whether the same request may do better the next time.
func meansRepeat(err error, reason string) bool {
	switch status.Code(err) {
	case codes.Unavailable:
		return true
	case codes.ResourceExhausted:
		return reason != "" // else the message is too large
	case codes.DeadlineExceeded:
		return reason != "WAIT_TIMEOUT"
	case codes.Canceled, codes.Internal, codes.Unknown:
		return reason == "" // what a broken connection is made of
	}
	return false
}
