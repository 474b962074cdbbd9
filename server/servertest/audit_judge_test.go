package servertest_test

import (
	"strings"

	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/grpc/codes"

	"github.com/exportgate/exportgate/server/internal/audit"
)

// check reads the log, and compares it with the ledger and with what callers were told.
func (a *audited) check(least int) {
	a.Helper()
	paths := a.files()
	a.replay(paths)
	l := a.read()
	told, refused := 0, 0
	for _, k := range a.callers {
		for _, c := range k.calls {
			if c.answered {
				told++
			}
			if !l.judge(k, c) {
				refused++
			}
		}
	}
	l.judge(a.callers[0], a.interrupted)
	l.judgeLives()
	if refused > l.suppressed+l.unsure {
		a.Errorf("%d calls were refused and have no line; %d are counted, and %d may be", refused, l.suppressed, l.unsure)
	}
	a.Logf("%d calls were answered, %d files, %d lines: %v, %d suppressed", told, len(paths), l.lines, l.kinds, l.suppressed)
	if told < least {
		a.Errorf("%d calls were answered, and it takes %d", told, least)
	}
	if len(paths) <= 5 { // Four were put aside by hand.
		a.Errorf("no file was put aside for its size: %v", paths)
	}
	for _, kind := range []string{"intent", "outcome", "refused", "change", "ledger", "event", "expired", "by the server", "cut off"} {
		if l.kinds[kind] == 0 && !a.Failed() {
			a.Errorf("no line is about %q: this run proves little", kind)
		}
	}
}

// logged is what the log has, by request.
type logged struct {
	*audited

	byRequest  map[string][]*audit.Line
	placed     map[string]bool              // uids that a change tells of
	numbers    map[string]map[uint64]string // kinds of lines, by server and number
	kinds      map[string]int
	lines      int
	suppressed int
	unsure     int // calls that were refused by a server that was killed, before it could count them
}

func (a *audited) read() *logged {
	a.Helper()
	l := &logged{
		audited: a, byRequest: map[string][]*audit.Line{}, placed: map[string]bool{}, numbers: map[string]map[uint64]string{},
		kinds: map[string]int{},
	}
	for _, line := range a.written() {
		l.add(line)
	}
	return l
}

func (l *logged) add(line *audit.Line) {
	l.lines++
	l.kinds[string(line.Kind)]++
	l.byRequest[line.RequestID] = append(l.byRequest[line.RequestID], line)
	if l.numbers[line.Server] == nil {
		l.numbers[line.Server] = map[uint64]string{}
	}
	if before, twice := l.numbers[line.Server][line.Seq]; twice {
		l.Errorf("%s has two lines of number %d: %s and %s", line.Server, line.Seq, before, line.Kind)
	}
	l.numbers[line.Server][line.Seq] = string(line.Kind)
	for _, n := range line.Suppressed {
		l.suppressed += int(n)
	}
	if line.Change == nil {
		return
	}
	if line.Kind == audit.KindChange && line.Cause == "server" {
		l.kinds["by the server"]++
	}
	for _, h := range line.Change.Holds {
		l.placed[h.Hold.UID] = true
	}
	for _, h := range line.Change.Ended {
		l.kinds[h.How]++
	}
}

// judgeLives expects of each server that no line is missing, but the last ones of one that was killed.
func (l *logged) judgeLives() {
	l.Helper()
	for server, numbers := range l.numbers {
		for n := range uint64(len(numbers)) {
			if _, there := numbers[n+1]; !there {
				l.Errorf("%s has %d lines, and none of number %d", server, len(numbers), n+1)
			}
		}
	}
}

// judge expects the lines of a call that it ought to have. It reports whether a call that was refused, and so ought to have
// a line, has one.
func (l *logged) judge(k *known, c *remembered) bool {
	l.Helper()
	lines := map[audit.Kind]*audit.Line{}
	for _, line := range l.byRequest[c.id] {
		l.expectOf(k, c, line)
		if lines[line.Kind] != nil && line.Kind != audit.KindChange {
			l.Errorf("call %s has two lines of kind %s", c.id, line.Kind)
		}
		lines[line.Kind] = line
	}
	intent, outcome, refused := lines[audit.KindIntent], lines[audit.KindOutcome], lines[audit.KindRefused]
	switch {
	case intent != nil && refused != nil, !c.changes && (intent != nil || outcome != nil), intent == nil && (outcome != nil || lines[audit.KindChange] != nil):
		l.Errorf("call %s, %s, was told %v %s and has these lines: %v", c.id, c.operation, c.code, c.reason, lines)
	case intent != nil && outcome == nil && l.killed[c.life]:
		l.kinds["cut off"]++
		if c.answered {
			l.Errorf("call %s was told %v %s, and has no outcome", c.id, c.code, c.reason)
		}
	case intent != nil && outcome == nil:
		l.Errorf("call %s, %s, has no outcome, and its server was not killed", c.id, c.operation)
	case !c.answered:
	case intent != nil:
		l.expectAnswer(c, outcome)
		if c.uid != "" && c.code == codes.OK && !l.placed[c.uid] {
			l.Errorf("call %s was told of hold %s, and no change tells of it", c.id, c.uid)
		}
	case refused != nil:
		l.expectAnswer(c, refused)
	case c.code == codes.Unauthenticated, c.code == codes.PermissionDenied, c.code == codes.InvalidArgument, c.code == codes.ResourceExhausted:
		if l.killed[c.life] {
			l.unsure++
		}
		return false
	case c.changes:
		l.Errorf("call %s, %s, was told %v %s and has no line", c.id, c.operation, c.code, c.reason)
	}
	return true
}

// expectAnswer expects that a line has what its call was told.
func (l *logged) expectAnswer(c *remembered, line *audit.Line) {
	l.Helper()
	if got := codes.Code(code.Code_value[line.Code]); got != c.code || c.reason != "" && line.ErrorReason != c.reason {
		l.Errorf("call %s was told %v %s, and its line says %s %s", c.id, c.code, c.reason, line.Code, line.ErrorReason)
	}
}

// expectOf expects that a line says who made a call, and from where.
func (l *logged) expectOf(k *known, c *remembered, line *audit.Line) {
	l.Helper()
	door, name, role := strings.ToLower(string(c.door)), k.name, k.role
	// The HTTP door turns nonsense away before anybody looks at who sent it, and where too many credentials were wrong those of
	// who has not called yet are not looked at either. The line says so: whoever was cut off was told nothing.
	if line.Kind == audit.KindRefused && (line.Code == "INVALID_ARGUMENT" || line.Code == "RESOURCE_EXHAUSTED" && line.Caller == "") {
		name = ""
	}
	if name == "" {
		role = "none"
	}
	if line.Caller != name || line.Role != role || line.Server != c.life || line.Door != door ||
		!strings.HasPrefix(line.Address, "127.0.0.1:") || line.UserAgent == "" {
		l.Errorf("call %s by %s (%s) at %s of %s has a line by %q (%s) from %s, %q, at %s of %s", c.id, name, role, door, c.life,
			line.Caller, line.Role, line.Address, line.UserAgent, line.Door, line.Server)
	}
	if line.Kind != audit.KindChange && line.Operation != c.operation {
		l.Errorf("call %s is %s, and its line says %s", c.id, c.operation, line.Operation)
	}
}
