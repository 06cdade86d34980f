package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const startTimeout = 60 * time.Second

// settle is how long a started broker is left alone before its idle memory and CPU are taken.
const settle = 3 * time.Second

// startBroker executes the given command and measures from there to the first acknowledged record, then the first
// group's first record, then what the broker costs while idle (`seconds` long). It stops the broker with SIGTERM.
func startBroker(o options) (figures, error) {
	var command []string
	if err := json.Unmarshal([]byte(o.command), &command); err != nil || len(command) == 0 {
		return nil, fmt.Errorf("-command must be a JSON array of words: %q", o.command)
	}
	broker := exec.Command(command[0], command[1:]...)
	broker.Stderr = os.Stderr
	began := time.Now()
	if err := broker.Start(); err != nil {
		return nil, err
	}
	exited := make(chan error, 1)
	go func() { exited <- broker.Wait() }()
	defer func() {
		_ = broker.Process.Kill()
	}()

	if err := firstRecord(o, began.Add(startTimeout), exited); err != nil {
		return nil, err
	}
	found := figures{"firstRecordMs": milliseconds(time.Since(began))}
	pid := broker.Process.Pid
	found["startCpuMs"] = cpuSecondsOf(pid) * 1000

	time.Sleep(settle)
	found["idleMB"] = residentMBOf(pid)
	idleFrom, cpuBefore := time.Now(), cpuSecondsOf(pid)
	time.Sleep(time.Duration(o.seconds * float64(time.Second)))
	found["idleCpuPercent"] = (cpuSecondsOf(pid) - cpuBefore) / time.Since(idleFrom).Seconds() * 100

	ctx, cancel := context.WithTimeout(context.Background(), adminTimeout)
	defer cancel()
	joined, err := joinOnce(ctx, o.bootstrap, o.topic, "bench-first")
	if err != nil {
		return nil, err
	}
	found["firstGroupMs"] = milliseconds(joined)

	stopFrom := time.Now()
	_ = broker.Process.Signal(syscall.SIGTERM)
	select {
	case <-exited:
	case <-time.After(30 * time.Second):
		return nil, errors.New("the broker did not stop within 30 s of SIGTERM")
	}
	found["stopMs"] = milliseconds(time.Since(stopFrom))
	return found, nil
}

// firstRecord connects as soon as the port opens, creates a topic and produces until a record is acknowledged.
func firstRecord(o options, deadline time.Time, exited <-chan error) error {
	var last error
	for time.Now().Before(deadline) {
		select {
		case err := <-exited:
			return fmt.Errorf("the broker exited: %v", err)
		default:
		}
		if last = createAndProduce(o); last == nil {
			return nil
		}
		time.Sleep(time.Millisecond)
	}
	return fmt.Errorf("no record acknowledged in time: %w", last)
}

func createAndProduce(o options) error {
	connection, err := dialBlocking(o.bootstrap)
	if err != nil {
		return err
	}
	defer connection.Close()
	request := kmsg.NewPtrCreateTopicsRequest()
	request.TimeoutMillis = 10_000
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = o.topic, 1, 1
	request.Topics = append(request.Topics, topic)
	response, err := ask(connection, request, 4)
	if err != nil {
		return err
	}
	for _, made := range response.(*kmsg.CreateTopicsResponse).Topics {
		err := kerr.ErrorForCode(made.ErrorCode)
		if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
			return err
		}
	}
	answer, err := exchange(connection, produceFrame(o.topic, 0, 100), make([]byte, 4096))
	if err != nil {
		return err
	}
	return checkProduced(answer, o.topic)
}
