package proxies

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/exportgate/exportgate/server/servertest"
)

// process is a server in a process of its own.
type process struct {
	command *exec.Cmd
	stdin   io.Closer
	said    *said
	ready   chan struct{} // closed when it has told its addresses
	exited  chan struct{} // closed when it has ended

	mu     sync.Mutex
	head   []byte // of its standard output, until it is ready
	routes map[servertest.Door]servertest.Route
}

// said is the last that a server has said, however often it was started. It may be written and read at once.
type said struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// enough of what a server said to know what it was about.
const enough = 20 << 10

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.text.Len() > 4*enough {
		s.text.Next(s.text.Len() - enough)
	}
	return s.text.Write(p)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := s.text.String()
	return text[max(0, len(text)-enough):]
}

// launch starts a server with settings, and waits until it serves.
func launch(settings map[string]string, said *said) (*process, error) {
	var flags []string
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		flags = append(flags, "--"+key+"="+settings[key])
	}
	p := &process{
		command: exec.Command(os.Args[0], flags...), said: said, ready: make(chan struct{}), exited: make(chan struct{}),
	}
	// The race detector would wait for a second at the end.
	p.command.Env = append(os.Environ(), servertest.ChildVariable+"=1", "GORACE=atexit_sleep_ms=0")
	p.command.Stdout, p.command.Stderr = p, said
	var err error
	if p.stdin, err = p.command.StdinPipe(); err != nil {
		return nil, err
	}
	if err := p.command.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(p.exited)
		_ = p.command.Wait() // Whoever asks for it knows why.
	}()
	select {
	case <-p.ready:
		return p, nil
	case <-p.exited:
		return nil, fmt.Errorf("the server ended: %v", p.command.ProcessState)
	case <-time.After(patience):
		p.kill()
		return nil, fmt.Errorf("the server does not serve after %v", patience)
	}
}

// Write takes what the server prints: its addresses.
func (p *process) Write(text []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.head = append(p.head, text...)
	fields := strings.Fields(string(p.head))
	if p.routes != nil || len(fields) != 2 || !bytes.HasSuffix(p.head, []byte("\n")) {
		return len(text), nil
	}
	p.routes = map[servertest.Door]servertest.Route{}
	for i, door := range []servertest.Door{servertest.HTTP, servertest.GRPC} {
		route, err := servertest.Dial(door, fields[i])
		if err != nil {
			return 0, err
		}
		p.routes[door] = route
	}
	close(p.ready)
	return len(text), nil
}

// route is the way to the server through a door.
func (p *process) route(door servertest.Door) servertest.Route {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.routes[door]
}

// kill kills the server as if by a power cut, and waits until nothing of it is left.
func (p *process) kill() {
	_ = p.command.Process.Kill() // It fails if the server has ended.
	p.end()
}

// stop ends the server as a deployment does, and reports whether it ended in time.
func (p *process) stop() error {
	_ = p.stdin.Close() // It has nothing to lose.
	select {
	case <-p.exited:
		p.end()
	case <-time.After(patience):
		p.kill()
		return fmt.Errorf("the server does not end after %v", patience)
	}
	if !p.command.ProcessState.Success() {
		return fmt.Errorf("the server did not end well: %v", p.command.ProcessState)
	}
	return nil
}

func (p *process) end() {
	<-p.exited
	_ = p.stdin.Close() // As above.
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, route := range p.routes {
		route.Close()
	}
}

// freeze stops every thread of the server where it is; thaw lets it go on. Connections stay.
func (p *process) freeze() error { return p.command.Process.Signal(syscall.SIGSTOP) }

func (p *process) thaw() error { return p.command.Process.Signal(syscall.SIGCONT) }
