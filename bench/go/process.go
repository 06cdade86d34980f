package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// clockTicks is USER_HZ, which is 100 on every Linux that the bench runs on.
const clockTicks = 100

// processes are the brokers under measure.
type processes []int

// parseProcesses reads pids with commas between them; 0 stands for none.
func parseProcesses(text string) (processes, error) {
	found := processes{}
	for _, word := range strings.Split(text, ",") {
		pid, err := strconv.Atoi(word)
		if err != nil {
			return nil, err
		}
		if pid != 0 {
			found = append(found, pid)
		}
	}
	return found, nil
}

// cpuSeconds is the CPU time, user and system, that the processes have used so far; 0 when none is known.
func cpuSeconds(pids processes) float64 {
	sum := 0.0
	for _, pid := range pids {
		sum += cpuSecondsOf(pid)
	}
	return sum
}

func cpuSecondsOf(pid int) float64 {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	// The second field is the program's name in brackets and may hold spaces: count from behind it.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+2:]))
	user, _ := strconv.ParseFloat(fields[11], 64)
	system, _ := strconv.ParseFloat(fields[12], 64)
	return (user + system) / clockTicks
}

// residentMB is the resident memory of the processes in MB (2^20 bytes); 0 when none is known.
func residentMB(pids processes) float64 {
	sum := 0.0
	for _, pid := range pids {
		sum += residentMBOf(pid)
	}
	return sum
}

func residentMBOf(pid int) float64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for _, line := range strings.Split(string(status), "\n") {
		if strings.HasPrefix(line, "VmRSS:") {
			kb, _ := strconv.ParseFloat(strings.Fields(line)[1], 64)
			return kb / 1024
		}
	}
	return 0
}
