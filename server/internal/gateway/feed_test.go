package gateway

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestHeartbeats proves that a quiet stream is not silent, and that no heartbeat gets into a message.
func TestHeartbeats(t *testing.T) {
	const many = 200
	heard := make(chan struct{})
	service := &fake{stream: func(stream watchStream) error {
		select {
		case <-stream.Context().Done():
			return stream.Context().Err()
		case <-heard:
		}
		for i := range many {
			if err := stream.Send(statusAt(strconv.Itoa(i))); err != nil {
				return err
			}
		}
		return nil
	}}
	d := openDoor(t, service, Options{heartbeat: 100 * time.Microsecond})
	f := follow(t, d, &http.Transport{}, "Accept", mediaEvents)
	if first := f.event(); first["event"] != "status" {
		t.Fatalf("the first event is %v", first)
	}
	for range 3 {
		if beat := f.event(); len(beat) != 1 || beat[""] == "" {
			t.Fatalf("on a quiet stream comes %v", beat)
		}
	}
	close(heard)
	for next := 0; next < many; {
		event := f.event()
		if event[""] != "" {
			continue
		}
		if event["id"] != strconv.Itoa(next) {
			t.Fatalf("event is %v, want the one of %d", event, next)
		}
		next++
	}
}

// endless sends large messages for as long as it can, and tells when a stream has ended.
func endless() (_ *fake, ended <-chan string) {
	ends := make(chan string, 10)
	return &fake{stream: func(stream watchStream) error {
		message := statusAt("large")
		message.Status.UnsettledReason = strings.Repeat("x", 1<<20)
		for {
			if err := stream.Send(message); err != nil {
				ends <- peerIn(stream.Context())
				return err
			}
		}
	}}, ends
}

// TestSlowClients proves that a client that does not read is given up, and holds up nobody else meanwhile.
func TestSlowClients(t *testing.T) {
	service, ended := endless()
	d := openDoor(t, service, Options{writing: time.Second, heartbeat: time.Hour})
	slow := dialRaw(t, d)
	write(t, slow, "GET /exporting/watch HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n")
	f := follow(t, d, &http.Transport{}, "Accept", mediaEvents)
	f.event()
	for fast := true; fast; {
		if event := f.event(); len(event["data"]) < 1<<20 {
			t.Fatalf("the client that reads gets %v", event)
		}
		select {
		case <-ended: // the slow one's: this one goes on
			fast = false
		default:
		}
	}
	for range 50 { // more than was under way to it
		if event := f.event(); event["id"] != "large" {
			t.Fatalf("the client that reads then gets %v", event)
		}
	}
	left, err := io.Copy(io.Discard, slow)
	if err != nil || left == 0 {
		t.Errorf("the slow client gets %d bytes and %v, want what was under way and the end", left, err)
	}
}
