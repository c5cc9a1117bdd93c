package main

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"holdfast/tests/go/member"
)

const tmpfsMagic = 0x01021994

// side is one server during one row: started fresh on core 0, default flags, on a real disk.
type side struct {
	name string
	*member.Member
	dir string
}

// startSide starts a server in a new directory below build/bench.
func startSide(name, binary string) (*side, error) {
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
	m, err := member.Start(member.Options{Binary: binary, Dir: dir, Wrap: []string{"taskset", "-c", "0"}})
	if err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	return &side{name: name, Member: m, dir: dir}, nil
}

// end kills the server and removes its data.
func (s *side) end() {
	s.Kill()
	os.RemoveAll(s.dir)
}

func (s *side) port() string {
	_, port, _ := strings.Cut(s.ClientAddr(), ":")
	return port
}

// cpu returns the CPU time that all threads of the server have used, ended ones included.
func (s *side) cpu() time.Duration {
	const schedClock = 2
	var ts syscall.Timespec
	clock := ^uintptr(s.Pid())<<3 | schedClock
	syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, clock, uintptr(unsafe.Pointer(&ts)), 0)
	return time.Duration(ts.Nano())
}

// anonMB returns the server's anonymous memory in MB (2^20 bytes): what it holds beyond the file
// pages that the kernel can drop.
func (s *side) anonMB() float64 {
	file, err := os.Open(fmt.Sprintf("/proc/%d/status", s.Pid()))
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
