package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"holdfast/tests/go/member"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

const tmpfsMagic = 0x01021994

// side is one server, or the members of one cluster, during one row: started fresh on core 0, default
// flags, on a real disk. The embedded member is the one that rows talk to: the leader.
type side struct {
	name string
	*member.Member
	all []*member.Member
	dir string
}

// startSide starts `members` servers in a new directory below build/bench, with these flags besides
// the usual ones.
func startSide(name, binary string, members int, flags ...string) (*side, error) {
	base := filepath.Join(member.Root(), "build/bench")
	var fs syscall.Statfs_t
	if err := syscall.Statfs(base, &fs); err != nil {
		return nil, err
	}
	if fs.Type == tmpfsMagic {
		return nil, fmt.Errorf("%s is a tmpfs, where syncs cost nothing: use a checkout on a disk", base)
	}
	dir, err := os.MkdirTemp(base, name+"-")
	if err != nil {
		return nil, err
	}
	s := &side{name: name, dir: dir}
	if err := s.start(binary, max(1, members), flags); err != nil {
		s.end()
		return nil, err
	}
	return s, nil
}

func (s *side) start(binary string, members int, flags []string) error {
	places, err := placeMembers(members)
	if err != nil {
		return err
	}
	for i := range members {
		options := member.Options{Binary: binary, Dir: s.dir, Wrap: []string{"taskset", "-c", "0"}, Flags: flags}
		if members > 1 {
			options.Name = fmt.Sprintf("m%d", i)
			options.Dir = filepath.Join(s.dir, options.Name)
			options.Peers = places[i]
			if err := os.Mkdir(options.Dir, 0o755); err != nil {
				return err
			}
		}
		m, err := member.New(options)
		if err != nil {
			return err
		}
		s.all = append(s.all, m)
		if err := m.Spawn(); err != nil {
			return err
		}
	}
	for _, m := range s.all {
		if err := m.WaitReady(); err != nil {
			return err
		}
	}
	s.Member = s.all[0]
	if members == 1 {
		return nil
	}
	return s.findLeader()
}

// end kills the servers and removes their data.
func (s *side) end() {
	for _, m := range s.all {
		m.Kill()
	}
	os.RemoveAll(s.dir)
}

func (s *side) port() string {
	_, port, _ := strings.Cut(s.ClientAddr(), ":")
	return port
}

// cpu returns the CPU time that all threads of all members have used, ended threads included.
func (s *side) cpu() time.Duration {
	const schedClock = 2
	var sum time.Duration
	for _, m := range s.all {
		var ts syscall.Timespec
		clock := ^uintptr(m.Pid())<<3 | schedClock
		syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, clock, uintptr(unsafe.Pointer(&ts)), 0)
		sum += time.Duration(ts.Nano())
	}
	return sum
}

// revision returns the store's, by a linearizable read: of all that was acknowledged before.
func (s *side) revision() (int64, error) {
	conn, err := s.Dial()
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	answer, err := pb.NewKVClient(conn).Range(context.Background(), &pb.RangeRequest{Key: []byte("none")})
	return answer.GetHeader().GetRevision(), err
}

// anonMB returns the server's anonymous memory in MB (2^20 bytes): what it holds beyond the file
// pages that the kernel can drop.
func (s *side) anonMB() float64 { return anonMBOf(s.Pid()) }

func anonMBOf(pid int) float64 {
	file, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	defer file.Close()
	for scanner := bufio.NewScanner(file); scanner.Scan(); {
		fields := strings.Fields(scanner.Text())
		if len(fields) > 1 && fields[0] == "RssAnon:" {
			kb, _ := strconv.ParseFloat(fields[1], 64)
			return kb / 1024
		}
	}
	return 0
}

// watchPeak samples anonymous memory until the returned function is called, which returns the
// highest sample.
func (s *side) watchPeak() func() float64 {
	stop, peak := make(chan struct{}), make(chan float64)
	go func() {
		highest := s.anonMB()
		for {
			select {
			case <-stop:
				peak <- max(highest, s.anonMB())
				return
			case <-time.After(10 * time.Millisecond):
				highest = max(highest, s.anonMB())
			}
		}
	}()
	return func() float64 { close(stop); return <-peak }
}
