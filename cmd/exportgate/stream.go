package main

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/cenkalti/backoff/v5"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
)

// stream is the status and its changes, over as many connections as it takes.
type stream struct {
	service exportgatev1.ExportingServiceClient
	// patience is how long the first answer on a connection may take.
	patience time.Duration
	// first is about how long to wait before connecting again; each failure in a row lets that grow.
	first time.Duration
}

// news is what a stream has to tell: an answer, or that the connection was lost, and when it will be tried again. The zero
// value is that time has passed.
type news struct {
	answer *exportgatev1.WatchStatusResponse
	lost   error
	again  time.Duration
}

// follow sends the news until ctx ends, and then returns nil. It connects again after a connection that has once delivered
// is lost, from where it was: an error is one that connecting again does not cure.
func (s *stream) follow(ctx context.Context, to chan<- news) error {
	waits := backoff.NewExponentialBackOff()
	waits.InitialInterval, waits.MaxInterval = s.first, maxReconnectDelay
	cursor, met := "", false
	for {
		err := s.receive(ctx, cursor, func(answer *exportgatev1.WatchStatusResponse) {
			waits.Reset()
			cursor, met = answer.GetCursor(), true
			tell(ctx, to, news{answer: answer})
		})
		switch {
		case ctx.Err() != nil:
			return nil //nolint:nilerr // The call failed because it was ended: that is how a watch ends.
		case !met || !passes(status.Code(err)):
			return err
		}
		again := waits.NextBackOff()
		tell(ctx, to, news{lost: err, again: again})
		select {
		case <-ctx.Done():
		case <-time.After(again):
		}
	}
}

func tell(ctx context.Context, to chan<- news, n news) {
	select {
	case <-ctx.Done():
	case to <- n:
	}
}

// receive receives over one connection, from the cursor on, until that fails. The error is never nil.
func (s *stream) receive(ctx context.Context, cursor string, see func(*exportgatev1.WatchStatusResponse)) error {
	ctx, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	errSilent := status.Errorf(codes.DeadlineExceeded, "the server sent no status within %s", s.patience)
	late := time.AfterFunc(s.patience, func() { giveUp(errSilent) })
	defer late.Stop()
	answers, err := s.service.WatchStatus(ctx, &exportgatev1.WatchStatusRequest{Cursor: cursor})
	for err == nil {
		var answer *exportgatev1.WatchStatusResponse
		if answer, err = answers.Recv(); err == nil {
			late.Stop()
			see(answer)
		}
	}
	switch {
	case errors.Is(context.Cause(ctx), errSilent):
		return errSilent
	case errors.Is(err, io.EOF):
		return status.Error(codes.Unavailable, "the server ended the watch")
	}
	return err
}

// passes reports whether an error may be gone at the next attempt: a server that restarts, or something between that fell
// over.
func passes(code codes.Code) bool {
	switch code {
	case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled, codes.Aborted, codes.ResourceExhausted, codes.Internal,
		codes.Unknown:
		return true
	case codes.OK, codes.InvalidArgument, codes.NotFound, codes.AlreadyExists, codes.PermissionDenied,
		codes.FailedPrecondition, codes.OutOfRange, codes.Unimplemented, codes.DataLoss, codes.Unauthenticated:
	}
	return false
}
