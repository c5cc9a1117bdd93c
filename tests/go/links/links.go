// Package links carries all traffic between the members of a cluster through proxies of the test,
// so that each direction between two members can be cut, held, delayed or slowed on its own.
//
// A member has one proxy, and advertises its address. Who dials is told by the socket's owner
// (/proc), so links work for any protocol on them, TLS too. A link is a direction: from→to carries
// the bytes that `from` sends to `to`, on connections that either of them opened.
package links

import (
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"time"
)

const (
	// pieceBytes is the most that travels through a link at once.
	pieceBytes = 32 << 10
	// pipeDepth bounds the pieces under way in one connection's direction, as a real path does.
	pipeDepth = 256
)

// Network is the proxies of a cluster. All methods may be called from any goroutine.
type Network struct {
	mu      sync.Mutex
	ends    map[string]*end
	links   map[pair]*link
	flows   map[*flow]struct{}
	changed chan struct{} // closed, and replaced, when a link's condition changes
}

// end is one member's proxy.
type end struct {
	name     string
	listener net.Listener
	target   string // where the member listens
	pid      int    // its process now; 0 if none
}

type pair struct{ from, to string }

// link is the condition of one direction between two members.
type link struct {
	cut            bool
	held           bool
	delay, jitter  time.Duration
	bytesPerSecond int
}

// New returns a network without members.
func New() *Network {
	return &Network{ends: map[string]*end{}, links: map[pair]*link{}, flows: map[*flow]struct{}{}, changed: make(chan struct{})}
}

// Add makes a proxy for a member that listens at target and returns the proxy's host:port.
func (n *Network) Add(name, target string) (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	e := &end{name: name, listener: listener, target: target}
	n.mu.Lock()
	n.ends[name] = e
	n.mu.Unlock()
	go n.accept(e)
	return listener.Addr().String(), nil
}

// SetProcess says which process the member is from now on.
func (n *Network) SetProcess(name string, pid int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if e := n.ends[name]; e != nil {
		e.pid = pid
	}
}

// Remove ends a member's proxy and its connections.
func (n *Network) Remove(name string) {
	n.mu.Lock()
	e := n.ends[name]
	delete(n.ends, name)
	for p := range n.links {
		if p.from == name || p.to == name {
			delete(n.links, p)
		}
	}
	n.mu.Unlock()
	if e != nil {
		e.listener.Close()
	}
	n.reset(func(f *flow) bool { return f.dialer == name || f.server == name })
}

// Close ends all proxies.
func (n *Network) Close() {
	n.mu.Lock()
	names := make([]string, 0, len(n.ends))
	for name := range n.ends {
		names = append(names, name)
	}
	n.mu.Unlock()
	for _, name := range names {
		n.Remove(name)
	}
}

// Cut resets all connections between two members and refuses new ones.
func (n *Network) Cut(a, b string) {
	n.set(a, b, func(l *link) { l.cut = true })
	n.set(b, a, func(l *link) { l.cut = true })
	n.reset(between(a, b))
}

// Hold keeps back everything that goes from one member to the other, ends of connections too,
// without telling anyone: a one-way black hole. What was held travels on after Heal.
func (n *Network) Hold(from, to string) { n.set(from, to, func(l *link) { l.held = true }) }

// Delay makes everything from one member to the other take longer, by delay and up to jitter more.
func (n *Network) Delay(from, to string, delay, jitter time.Duration) {
	n.set(from, to, func(l *link) { l.delay, l.jitter = delay, jitter })
}

// Slow limits the rate of each connection from one member to the other.
func (n *Network) Slow(from, to string, bytesPerSecond int) {
	n.set(from, to, func(l *link) { l.bytesPerSecond = bytesPerSecond })
}

// HalfOpen makes the connections that exist between two members silent for ever, without telling
// either; new ones work. As after a firewall forgot them.
func (n *Network) HalfOpen(a, b string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for f := range n.flows {
		if between(a, b)(f) {
			f.forgotten = true
		}
	}
	n.announce()
}

// Break resets the connections that exist between two members; new ones work.
func (n *Network) Break(a, b string) { n.reset(between(a, b)) }

// Heal makes all links good again.
func (n *Network) Heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.links)
	n.announce()
}

// Connections returns how many connections two members have between them.
func (n *Network) Connections(a, b string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	count := 0
	for f := range n.flows {
		if between(a, b)(f) {
			count++
		}
	}
	return count
}

func between(a, b string) func(*flow) bool {
	return func(f *flow) bool { return f.dialer == a && f.server == b || f.dialer == b && f.server == a }
}

func (n *Network) set(from, to string, change func(*link)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	l := n.links[pair{from, to}]
	if l == nil {
		l = &link{}
		n.links[pair{from, to}] = l
	}
	change(l)
	n.announce()
}

// announce wakes who waits for a link; n.mu is held.
func (n *Network) announce() {
	close(n.changed)
	n.changed = make(chan struct{})
}

func (n *Network) reset(which func(*flow) bool) {
	n.mu.Lock()
	var chosen []*flow
	for f := range n.flows {
		if which(f) {
			chosen = append(chosen, f)
		}
	}
	n.mu.Unlock()
	for _, f := range chosen {
		f.reset()
	}
}

// condition returns a link's condition and what tells when that changes.
func (n *Network) condition(f *flow, from, to string) (link, chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	l := link{}
	if known := n.links[pair{from, to}]; known != nil {
		l = *known
	}
	l.held = l.held || f.forgotten
	return l, n.changed
}

func (n *Network) accept(e *end) {
	for {
		conn, err := e.listener.Accept()
		if err != nil {
			return
		}
		go n.open(e, conn.(*net.TCPConn))
	}
}

// open joins an accepted connection with one to the member behind the proxy.
func (n *Network) open(e *end, accepted *net.TCPConn) {
	dialer := n.owner(accepted)
	if dialer == "" { // it has ended already
		abort(accepted)
		return
	}
	there, _ := n.condition(&flow{}, dialer, e.name)
	back, _ := n.condition(&flow{}, e.name, dialer)
	if there.cut || back.cut {
		abort(accepted)
		return
	}
	dialed, err := net.DialTimeout("tcp", e.target, 5*time.Second)
	if err != nil {
		abort(accepted)
		return
	}
	f := &flow{dialer: dialer, server: e.name, near: accepted, far: dialed.(*net.TCPConn), ended: make(chan struct{})}
	n.mu.Lock()
	n.flows[f] = struct{}{}
	n.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { n.carry(f, f.near, f.far, dialer, e.name) })
	both.Go(func() { n.carry(f, f.far, f.near, e.name, dialer) })
	both.Wait()
	f.reset()
	n.mu.Lock()
	delete(n.flows, f)
	n.mu.Unlock()
}

// owner returns the member whose process dialed the connection, or "".
func (n *Network) owner(accepted *net.TCPConn) string {
	n.mu.Lock()
	pids := map[string]int{}
	for name, e := range n.ends {
		if e.pid != 0 {
			pids[name] = e.pid
		}
	}
	n.mu.Unlock()
	inode, err := socketInode(accepted.RemoteAddr().(*net.TCPAddr), accepted.LocalAddr().(*net.TCPAddr))
	if err != nil {
		return ""
	}
	for name, pid := range pids {
		if holdsSocket(pid, inode) {
			return name
		}
	}
	return ""
}

// flow is one connection through a proxy.
type flow struct {
	dialer, server string
	near, far      *net.TCPConn
	forgotten      bool // guarded by Network.mu
	once           sync.Once
	ended          chan struct{}
}

func (f *flow) reset() {
	f.once.Do(func() {
		close(f.ended)
		abort(f.near)
		abort(f.far)
	})
}

// abort closes a connection so that the other side sees a reset.
func abort(conn *net.TCPConn) {
	conn.SetLinger(0)
	conn.Close()
}

// piece is a part of a stream that may travel on at its time; without bytes it is the stream's end.
type piece struct {
	bytes []byte
	due   time.Time
}

// carry moves one direction of a connection under the link's conditions until it ends.
func (n *Network) carry(f *flow, source, sink *net.TCPConn, from, to string) {
	pieces := make(chan piece, pipeDepth)
	go func() {
		defer close(pieces)
		buffer := make([]byte, pieceBytes)
		for {
			count, err := source.Read(buffer)
			l, _ := n.condition(f, from, to)
			due := time.Now().Add(l.delay)
			if l.jitter > 0 {
				due = due.Add(rand.N(l.jitter))
			}
			p := piece{slices.Clone(buffer[:count]), due}
			if count > 0 {
				select {
				case pieces <- p:
				case <-f.ended:
					return
				}
			}
			if err != nil {
				return
			}
		}
	}()
	for p := range pieces {
		if !n.pass(f, p, from, to) {
			return
		}
		if _, err := sink.Write(p.bytes); err != nil {
			f.reset()
			return
		}
	}
	if n.pass(f, piece{}, from, to) {
		sink.CloseWrite()
	}
}

// pass waits until a piece may travel; false if the connection ends first.
func (n *Network) pass(f *flow, p piece, from, to string) bool {
	for {
		l, changed := n.condition(f, from, to)
		if l.held {
			select {
			case <-changed:
				continue
			case <-f.ended:
				return false
			}
		}
		wait := time.Until(p.due)
		if l.bytesPerSecond > 0 {
			wait = max(wait, 0) + time.Duration(len(p.bytes))*time.Second/time.Duration(l.bytesPerSecond)
		}
		if wait <= 0 {
			return true
		}
		select {
		case <-time.After(wait):
			return true
		case <-f.ended:
			return false
		}
	}
}

// String describes the links that are not good.
func (n *Network) String() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	text := ""
	for p, l := range n.links {
		text += fmt.Sprintf(" %s→%s %+v", p.from, p.to, *l)
	}
	return text
}
