package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
)

// machineConfig describes the processes that make up a cluster, and, for a node, the box they live in.
type machineConfig struct {
	Box      *boxConfig `json:"box"`
	Logs     string     `json:"logs"`
	Programs []program  `json:"programs"`
}

// boxConfig describes a node's own namespaces. Outside runs on the host once the box exists ({pid} is the box's first
// process); Inside runs in the box before any program.
type boxConfig struct {
	Hostname string     `json:"hostname"`
	Outside  [][]string `json:"outside"`
	Inside   [][]string `json:"inside"`
}

const innerMark = "inside-the-box"

func init() {
	// A child's parent-death signal is tied to the thread that started it: the main thread lives as long as the process.
	runtime.LockOSThread()
}

// machine runs a cluster's programs until it is killed; nothing that it started outlives it. Its arguments are the file
// with a machineConfig and, in the process inside a box, innerMark.
func machine() {
	if err := runMachine(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "machine:", err)
		os.Exit(1)
	}
}

func runMachine(arguments []string) error {
	if len(arguments) == 0 {
		return fmt.Errorf("usage: machine CONFIG.json")
	}
	if err := os.Chdir("/"); err != nil { // the folder it was started in may be removed
		return err
	}
	content, err := os.ReadFile(arguments[0])
	if err != nil {
		return err
	}
	var config machineConfig
	if err := json.Unmarshal(content, &config); err != nil {
		return fmt.Errorf("%s: %w", arguments[0], err)
	}
	switch {
	case config.Box == nil:
		return supervise(config.Programs, config.Logs)
	case len(arguments) > 1 && arguments[1] == innerMark:
		return runInside(config)
	default:
		return runBox(arguments[0], config.Box)
	}
}

// runBox starts this program again in namespaces of its own. When either of the two processes ends, the kernel ends
// every process of the box, and with the last one go the box's mounts, network devices, nft tables and sysctls.
func runBox(path string, box *boxConfig) error {
	inner := exec.Command("/proc/self/exe", "machine", path, innerMark)
	inner.Args[0] = "penstock-kube"
	inner.Stdout, inner.Stderr = os.Stdout, os.Stderr
	inner.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC,
		Pdeathsig:  syscall.SIGKILL,
	}
	ready, err := inner.StdinPipe()
	if err != nil {
		return err
	}
	if err := inner.Start(); err != nil {
		return fmt.Errorf("making the box's namespaces: %w", err)
	}
	pid := strconv.Itoa(inner.Process.Pid)
	for _, arguments := range box.Outside {
		if err := runCommand(arguments, pid); err != nil {
			return fmt.Errorf("outside the box: %w", err)
		}
	}
	if _, err := io.WriteString(ready, "ready\n"); err != nil {
		return err
	}
	if err := ready.Close(); err != nil {
		return err
	}
	return inner.Wait()
}

func runInside(config machineConfig) error {
	if _, err := io.ReadAll(os.Stdin); err != nil {
		return err
	}
	if err := syscall.Sethostname([]byte(config.Box.Hostname)); err != nil {
		return fmt.Errorf("naming the box: %w", err)
	}
	for _, arguments := range config.Box.Inside {
		if err := runCommand(arguments, "self"); err != nil {
			return fmt.Errorf("inside the box: %w", err)
		}
	}
	return supervise(config.Programs, config.Logs)
}

func runCommand(arguments []string, pid string) error {
	filled := make([]string, len(arguments))
	for i, argument := range arguments {
		filled[i] = strings.ReplaceAll(argument, "{pid}", pid)
	}
	if output, err := exec.Command(filled[0], filled[1:]...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(filled, " "), err, strings.TrimSpace(string(output)))
	}
	return nil
}

// stopSignals receives what asks the machine to end.
func stopSignals() <-chan os.Signal {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	return stop
}
