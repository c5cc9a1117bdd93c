package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"holdfast/tests/go/member"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"
)

const (
	connections = 10
	inFlight    = 1000
)

// report is one phase of holdfast_load; see load.cpp.
type report struct {
	Name       string  `json:"name"`
	Requests   float64 `json:"requests"`
	Errors     int     `json:"errors"`
	FirstError string  `json:"first_error"`
	Seconds    float64 `json:"seconds"`
	ServerCPU  float64 `json:"server_cpu_seconds"`
	OwnCPU     float64 `json:"own_cpu_seconds"`
	P50        float64 `json:"p50_ms"`
	P99        float64 `json:"p99_ms"`
	P999       float64 `json:"p999_ms"`
	Max        float64 `json:"max_ms"`
}

// values returns the figures of requestFigures.
func (r report) values() values {
	return values{"requests": r.Requests / r.Seconds, "CPU per request": r.ServerCPU / r.Requests * 1e6, "p99": r.P99}
}

// loadJob is a running holdfast_load.
type loadJob struct {
	command *exec.Cmd
	stdin   io.WriteCloser
	out     bytes.Buffer
	errs    bytes.Buffer
	args    string
}

// startLoad starts holdfast_load against the server.
func (s *side) startLoad(args ...string) (*loadJob, error) {
	all := append(args, "--port", s.port(), "--server-pid", strconv.Itoa(s.Pid()))
	job := &loadJob{args: strings.Join(args, " ")}
	job.command = exec.Command(filepath.Join(member.Root(), "build/release/bin/holdfast_load"), all...)
	job.command.Stdout, job.command.Stderr = &job.out, &job.errs
	stdin, err := job.command.StdinPipe()
	if err != nil {
		return nil, err
	}
	job.stdin = stdin
	return job, member.StartTied(job.command)
}

// finish closes the job's standard input, waits for its end and returns its phases by name. A phase
// with an answer that must not be is an error.
func (j *loadJob) finish() (map[string]report, error) {
	j.stdin.Close()
	if err := j.command.Wait(); err != nil {
		return nil, fmt.Errorf("holdfast_load %s: %w: %s", j.args, err, j.errs.String())
	}
	phases := map[string]report{}
	for decoder := json.NewDecoder(&j.out); ; {
		var r report
		if err := decoder.Decode(&r); err == io.EOF {
			return phases, nil
		} else if err != nil {
			return nil, err
		}
		if r.Errors > 0 {
			return nil, fmt.Errorf("holdfast_load %s: %d errors in phase %s, the first: %s", j.args, r.Errors, r.Name, r.FirstError)
		}
		phases[r.Name] = r
	}
}

// load runs holdfast_load to its end.
func (s *side) load(args ...string) (map[string]report, error) {
	job, err := s.startLoad(args...)
	if err != nil {
		return nil, err
	}
	return job.finish()
}

// loadPhase runs holdfast_load and returns the figures of one of its phases.
func (s *side) loadPhase(phase string, args ...string) (values, error) {
	phases, err := s.load(args...)
	if err != nil {
		return nil, err
	}
	return phases[phase].values(), nil
}

// h2loadPut runs h2load with one 256-byte put, over and over, with these headers besides. h2load does
// not look into trailers, where gRPC says that a request failed: that each of them was a put is told
// by the revision.
func (s *side) h2loadPut(duration time.Duration, headers ...string) (values, error) {
	message, err := proto.Marshal(&pb.PutRequest{Key: []byte("/bench/key"), Value: bytes.Repeat([]byte("v"), 256)})
	if err != nil {
		return nil, err
	}
	frame := binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message)))
	path := filepath.Join(s.dir, "put.frame")
	if err := os.WriteFile(path, append(frame, message...), 0o644); err != nil {
		return nil, err
	}
	revision, err := s.revision()
	if err != nil {
		return nil, err
	}
	before := s.cpu()
	arguments := []string{"-t1", "-c", strconv.Itoa(connections), "-m", strconv.Itoa(inFlight / connections),
		"-D", fmt.Sprintf("%.0f", duration.Seconds()), "-d", path}
	for _, header := range append([]string{"content-type: application/grpc", "te: trailers"}, headers...) {
		arguments = append(arguments, "-H", header)
	}
	out, err := exec.Command("h2load", append(arguments, s.ClientURL()+"/etcdserverpb.KV/Put")...).CombinedOutput()
	used := s.cpu() - before
	if err != nil {
		return nil, fmt.Errorf("h2load: %w: %s", err, out)
	}
	done := h2loadDone.FindSubmatch(out)
	if done == nil || string(done[2]) != "0" {
		return nil, fmt.Errorf("h2load did not succeed: %s", out)
	}
	requests, _ := strconv.ParseFloat(string(done[1]), 64)
	after, err := s.revision()
	if err != nil {
		return nil, err
	}
	if puts := float64(after - revision); requests == 0 || puts < requests {
		return nil, fmt.Errorf("h2load had %.0f answers, but only %.0f puts were made: the others were refusals", requests, puts)
	}
	return values{
		"requests":        requests / duration.Seconds(),
		"CPU per request": float64(used.Microseconds()) / requests,
	}, nil
}

var h2loadDone = regexp.MustCompile(`requests: .* (\d+) succeeded, (\d+) failed`)
