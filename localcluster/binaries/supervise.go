package main

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// program is started once all of After is there, and again whenever it ends.
type program struct {
	Name      string     `json:"name"`
	Arguments []string   `json:"arguments"`
	Env       []string   `json:"env"`
	After     []endpoint `json:"after"`
}

// endpoint is an address that accepts connections (network tcp or unix), or a URL that is answered with 200 (https).
type endpoint struct {
	Network string `json:"network"`
	Address string `json:"address"`
}

const (
	dialEvery     = 20 * time.Millisecond
	firstBackoff  = 200 * time.Millisecond
	longestPause  = 5 * time.Second
	healthyRunFor = 30 * time.Second
)

// supervise starts the programs and keeps them running, reaping every process that it inherits, until it is told to stop.
// All starts happen on the calling (main) thread, so that the parent-death signal holds for each child.
func supervise(programs []program, logs string) error {
	stop := stopSignals()
	ended := make(chan os.Signal, 16)
	signal.Notify(ended, syscall.SIGCHLD)
	due := make(chan *program, len(programs))
	running := map[int]*program{}
	startedAt := map[string]time.Time{}
	backoff := map[string]time.Duration{}
	for i := range programs {
		go announce(&programs[i], 0, due)
	}
	for {
		select {
		case next := <-due:
			pid, err := start(next, logs)
			if err != nil {
				return fmt.Errorf("starting %s: %w", next.Name, err)
			}
			running[pid] = next
			startedAt[next.Name] = time.Now()
		case <-ended:
			for {
				var status syscall.WaitStatus
				pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
				if err != nil || pid <= 0 {
					break
				}
				finished, ours := running[pid]
				if !ours {
					continue
				}
				delete(running, pid)
				pause := min(2*backoff[finished.Name], longestPause)
				if pause == 0 || time.Since(startedAt[finished.Name]) > healthyRunFor {
					pause = firstBackoff
				}
				backoff[finished.Name] = pause
				fmt.Fprintf(os.Stderr, "%s ended (exit code %d, signal %d); starting it again in %s\n",
					finished.Name, status.ExitStatus(), status.Signal(), pause)
				go announce(finished, pause, due)
			}
		case <-stop:
			for pid := range running {
				_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended by itself in between
			}
			return nil
		}
	}
}

// announce hands a program over for starting when its pause is over and what it needs accepts connections.
func announce(next *program, pause time.Duration, due chan<- *program) {
	time.Sleep(pause)
	for _, needed := range next.After {
		for !needed.there() {
			time.Sleep(dialEvery)
		}
	}
	due <- next
}

// anyone asks whether a server is ready, not who it is.
var anyone = http.Client{
	Timeout:   time.Second,
	Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true},
}

func (e endpoint) there() bool {
	if e.Network == "https" {
		answer, err := anyone.Get(e.Address)
		if err != nil {
			return false
		}
		_ = answer.Body.Close()
		return answer.StatusCode == http.StatusOK
	}
	connection, err := net.DialTimeout(e.Network, e.Address, time.Second)
	if err != nil {
		return false
	}
	_ = connection.Close()
	return true
}

func start(next *program, logs string) (int, error) {
	output, err := os.OpenFile(filepath.Join(logs, next.Name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return 0, err
	}
	defer output.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		return 0, err
	}
	defer null.Close()
	return syscall.ForkExec(next.Arguments[0], next.Arguments, &syscall.ProcAttr{
		Env:   append(os.Environ(), next.Env...),
		Files: []uintptr{null.Fd(), output.Fd(), output.Fd()},
		Sys:   &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setsid: true},
	})
}
