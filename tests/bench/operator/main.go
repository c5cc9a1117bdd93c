// Command operator measures what an operator costs: clusters of three simulated members under one operator
// on a real API server. README.md says what each figure is. It prints one JSON object of figures.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"holdfast/tests/go/fleet"
	"holdfast/tests/go/member"
)

const (
	namespace = "default"
	pages     = "127.0.0.1:18080"
)

var (
	clusters   = flag.Int("clusters", 100, "clusters of three")
	tls        = flag.Bool("tls", false, "clusters with TLS on both sides")
	idle       = flag.Duration("idle", 2*time.Minute, "how long to watch the operator idle")
	kills      = flag.Int("kills", 20, "Pods killed one after the other")
	limit      = flag.Duration("limit", 10*time.Minute, "by when all clusters must be Ready")
	program    = flag.String("operator", "build/release/bin/holdfast-operator", "the program; it gets --kubeconfig and --listen")
	dialect    = flag.String("metrics", "holdfast", "whose metrics it has: holdfast or controller-runtime")
	hold       = flag.Duration("hold", 0, "then wait so long, for profiling")
	operatorIs *exec.Cmd
)

// figures are what a run tells, in the order of the table.
type figures struct {
	AllReadySeconds       float64            `json:"all_ready_seconds"`
	BusyP50Milliseconds   float64            `json:"busy_reconcile_p50_ms"`
	BusyP99Milliseconds   float64            `json:"busy_reconcile_p99_ms"`
	IdleP50Milliseconds   float64            `json:"idle_reconcile_p50_ms"`
	IdleP99Milliseconds   float64            `json:"idle_reconcile_p99_ms"`
	IdlePassesPerMinute   float64            `json:"idle_passes_per_minute"`
	IdleCPUPercent        float64            `json:"idle_cpu_percent"`
	RssAnonMiB            float64            `json:"rss_anon_mib"`
	RssMiB                float64            `json:"rss_mib"`
	BusyRssMiB            float64            `json:"peak_rss_mib"`
	APIPerMinute          map[string]float64 `json:"idle_apiserver_requests_per_minute"`
	MembersPerMinute      map[string]float64 `json:"idle_member_requests_per_minute"`
	KillSeenP50           float64            `json:"kill_to_new_pod_p50_ms"`
	KillSeenMax           float64            `json:"kill_to_new_pod_max_ms"`
	SyncedSeconds         float64            `json:"restart_to_synced_seconds"`
	EveryClusterSeenAfter float64            `json:"restart_to_every_cluster_seen_seconds"`
	RestartedRssAnonMiB   float64            `json:"restarted_rss_anon_mib"`
}

func main() {
	flag.Parse()
	result, err := run()
	if err != nil {
		fmt.Fprintln(os.Stderr, "tests/bench/operator:", err)
		os.Exit(1)
	}
	text, err := json.MarshalIndent(result, "", "  ")
	if err != nil {
		fmt.Fprintln(os.Stderr, "tests/bench/operator:", err)
		os.Exit(1)
	}
	fmt.Println(string(text))
}

func say(format string, values ...any) { fmt.Fprintf(os.Stderr, format+"\n", values...) }

func run() (*figures, error) {
	dir, err := os.MkdirTemp("", "holdfast-bench-operator")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	appeared := &appearances{seen: make(chan string, 4096)}
	stage, err := fleet.Raise(dir, func(k *fleet.Kubelet) { k.OnPod(appeared.note) })
	if err != nil {
		return nil, err
	}
	defer stage.Stop()
	defer endOperator()
	if err := startOperator(stage, dir); err != nil {
		return nil, err
	}
	result := &figures{}
	if err := converge(stage, result); err != nil {
		showLog(dir)
		return nil, err
	}
	if err := watchIdle(stage, result); err != nil {
		return nil, err
	}
	if err := killPods(stage, appeared, result); err != nil {
		return nil, err
	}
	if err := restart(stage, dir, result); err != nil {
		return nil, err
	}
	if *hold > 0 {
		say("holding pid %d for %v", operatorIs.Process.Pid, *hold)
		time.Sleep(*hold)
	}
	return result, nil
}

// --- the operator's process -------------------------------------------------------------------------

func startOperator(stage *fleet.Stage, dir string) error {
	log, err := os.OpenFile(filepath.Join(dir, "operator.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	operatorIs = exec.Command(*program, "--kubeconfig="+stage.Kubeconfig(), "--listen="+pages)
	operatorIs.Stdout, operatorIs.Stderr = log, log
	return member.StartTied(operatorIs)
}

func endOperator() {
	if operatorIs != nil && operatorIs.ProcessState == nil {
		_ = operatorIs.Process.Signal(syscall.SIGTERM)
		_ = operatorIs.Wait()
	}
}

func showLog(dir string) {
	text, _ := os.ReadFile(filepath.Join(dir, "operator.log"))
	say("%s", text[max(0, len(text)-4000):])
}

// --- the phases -------------------------------------------------------------------------------------

func converge(stage *fleet.Stage, result *figures) error {
	if err := within(time.Minute, func() error { _, err := fleet.Get("http://" + pages + "/readyz"); return err }); err != nil {
		return err
	}
	before, err := scrape()
	if err != nil {
		return err
	}
	began := time.Now()
	var group sync.WaitGroup
	errs := make(chan error, *clusters)
	for i := range *clusters {
		group.Go(func() { errs <- stage.Declare(namespace, fmt.Sprintf("fleet-%03d", i), *tls) })
	}
	group.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			return err
		}
	}
	if err := stage.AwaitReady(*clusters, *limit); err != nil {
		return err
	}
	result.AllReadySeconds = time.Since(began).Seconds()
	say("all %d Ready after %.1f s", *clusters, result.AllReadySeconds)
	after, err := scrape()
	if err != nil {
		return err
	}
	passes := after.passes.minus(before.passes)
	result.BusyP50Milliseconds, result.BusyP99Milliseconds = passes.quantile(0.5)*1000, passes.quantile(0.99)*1000
	result.BusyRssMiB = memory("VmHWM")
	return nil
}

func watchIdle(stage *fleet.Stage, result *figures) error {
	time.Sleep(30 * time.Second) // what follows from becoming Ready has ended: events, second looks
	before, err := scrape()
	if err != nil {
		return err
	}
	asked, cpu, began := stage.Asked(), cpuSeconds(), time.Now()
	time.Sleep(*idle)
	after, err := scrape()
	if err != nil {
		return err
	}
	took := time.Since(began)
	passes := after.passes.minus(before.passes)
	result.IdleP50Milliseconds, result.IdleP99Milliseconds = passes.quantile(0.5)*1000, passes.quantile(0.99)*1000
	result.IdlePassesPerMinute = passes.count() / took.Minutes()
	result.IdleCPUPercent = (cpuSeconds() - cpu) / took.Seconds() * 100
	result.RssAnonMiB, result.RssMiB = memory("RssAnon"), memory("VmRSS")
	result.APIPerMinute, result.MembersPerMinute = map[string]float64{}, map[string]float64{}
	for verb, count := range after.requests {
		if made := count - before.requests[verb]; made > 0 {
			result.APIPerMinute[verb] = made / took.Minutes()
		}
	}
	for method, count := range stage.Asked() {
		if made := count - asked[method]; made > 0 {
			result.MembersPerMinute[method] = float64(made) / took.Minutes()
		}
	}
	say("idle: %.1f MiB anonymous, %.2f %% CPU", result.RssAnonMiB, result.IdleCPUPercent)
	return nil
}

// appearances tells of Pods as they are made.
type appearances struct{ seen chan string }

func (a *appearances) note(_, name, _ string) {
	select {
	case a.seen <- name:
	default:
	}
}

func (a *appearances) drain() {
	for {
		select {
		case <-a.seen:
		default:
			return
		}
	}
}

func killPods(stage *fleet.Stage, appeared *appearances, result *figures) error {
	var took []float64
	for i := range *kills {
		name := fmt.Sprintf("fleet-%03d-%d", i%*clusters, i%3)
		appeared.drain()
		began := time.Now()
		answer, err := stage.Call(http.MethodDelete, "/api/v1/namespaces/"+namespace+"/pods/"+name, "application/json", map[string]any{"gracePeriodSeconds": 0})
		if err != nil || answer.Status != http.StatusOK {
			return fmt.Errorf("deleting Pod %s: %d %v", name, answer.Status, err)
		}
		for again := ""; again != name; {
			select {
			case again = <-appeared.seen:
			case <-time.After(time.Minute):
				return fmt.Errorf("Pod %s was not made again", name)
			}
		}
		took = append(took, float64(time.Since(began).Microseconds())/1000)
	}
	slices.Sort(took)
	result.KillSeenP50, result.KillSeenMax = took[len(took)/2], took[len(took)-1]
	return stage.AwaitReady(*clusters, *limit)
}

func restart(stage *fleet.Stage, dir string, result *figures) error {
	endOperator()
	began := time.Now()
	if err := startOperator(stage, dir); err != nil {
		return err
	}
	if err := within(time.Minute, func() error { _, err := fleet.Get("http://" + pages + "/readyz"); return err }); err != nil {
		return err
	}
	result.SyncedSeconds = time.Since(began).Seconds()
	err := within(5*time.Minute, func() error {
		now, err := scrape()
		if err == nil && now.passes.count() < float64(*clusters) {
			err = fmt.Errorf("%v passes", now.passes.count())
		}
		return err
	})
	result.EveryClusterSeenAfter = time.Since(began).Seconds()
	time.Sleep(10 * time.Second)
	result.RestartedRssAnonMiB = memory("RssAnon")
	return err
}

func within(limit time.Duration, check func() error) error {
	for deadline := time.Now().Add(limit); ; time.Sleep(10 * time.Millisecond) {
		err := check()
		if err == nil || time.Now().After(deadline) {
			return err
		}
	}
}
