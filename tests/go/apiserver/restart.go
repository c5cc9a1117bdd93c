package apiserver

import (
	"os"
	"os/exec"
	"syscall"

	"holdfast/tests/go/member"
)

// StoreAddr returns where the store under the API server listens for clients.
func (s *Server) StoreAddr() string { return s.store.ClientAddr() }

// End ends the API server with the signal and waits for it. The store goes on.
func (s *Server) End(signal syscall.Signal) {
	s.process.Process.Signal(signal)
	<-s.exited
}

// Begin starts an API server that has ended again, on its port, with further flags for good, and
// waits until it is ready.
func (s *Server) Begin(flags ...string) error {
	log, err := os.OpenFile(s.path("apiserver.log"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer log.Close()
	s.process = exec.Command(s.process.Path, append(s.process.Args[1:], flags...)...)
	s.process.Stdout, s.process.Stderr = log, log
	if err := member.StartTied(s.process); err != nil {
		return err
	}
	exited, process := make(chan struct{}), s.process
	go func() {
		process.Wait()
		close(exited)
	}()
	s.exited = exited
	return s.waitReady()
}
