package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// history is one client that notes what it does and sees until it is told to stop, for test/checker: a JSON line an event.
// {"process", "type": invoke|ok|fail|info, "f": send|poll|assign|revoke|member|commit, "value", "t": milliseconds since 1970}
type history struct {
	c        command
	client   *kgo.Client
	file     *os.File
	out      *bufio.Writer
	cancel   context.CancelFunc
	done     chan struct{}
	lock     sync.Mutex
	count    int64
	failures []string
	// Next offsets of a group's member that are not committed yet.
	positions map[int32]int64
	// Who it last was in its group.
	member     string
	generation int32
}

const commitEvery = 200 * time.Millisecond

func startHistory(bootstrap string, c command) (*history, error) {
	file, err := os.OpenFile(c.Path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	h := &history{c: c, file: file, out: bufio.NewWriterSize(file, 1<<16), done: make(chan struct{}), failures: []string{}, positions: map[int32]int64{}}
	options := []kgo.Opt{
		kgo.SeedBrokers(splitComma(bootstrap)...),
		kgo.MetadataMinAge(50 * time.Millisecond),
	}
	work := h.read
	switch c.Role {
	case "produce":
		options = append(options, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0), kgo.ProducerBatchCompression(codecOf(c.Codec)))
		work = h.produce
	case "assign":
		starts := map[int32]kgo.Offset{}
		for _, partition := range c.Partitions {
			starts[partition] = kgo.NewOffset().At(0)
		}
		options = append(options,
			kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{c.Topic: starts}),
			kgo.ConsumeResetOffset(kgo.NoResetOffset()),
			kgo.FetchMaxWait(100*time.Millisecond),
		)
	case "group":
		session := 10 * time.Second
		if c.SessionTimeoutMs > 0 {
			session = time.Duration(c.SessionTimeoutMs) * time.Millisecond
		}
		gone := func(_ context.Context, _ *kgo.Client, places map[string][]int32) { h.turn("revoke", places) }
		options = append(options,
			kgo.ConsumerGroup(c.Group),
			kgo.ConsumeTopics(c.Topic),
			kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
			kgo.Balancers(kgo.RangeBalancer()),
			kgo.DisableAutoCommit(),
			kgo.BlockRebalanceOnPoll(),
			kgo.SessionTimeout(session),
			kgo.HeartbeatInterval(500*time.Millisecond),
			kgo.FetchMaxWait(100*time.Millisecond),
			kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, places map[string][]int32) { h.turn("assign", places) }),
			kgo.OnPartitionsRevoked(gone),
			kgo.OnPartitionsLost(gone),
		)
		if c.Instance != "" {
			options = append(options, kgo.InstanceID(c.Instance))
		}
	default:
		return nil, fmt.Errorf("no such role: %s", c.Role)
	}
	if h.client, err = kgo.NewClient(options...); err != nil {
		return nil, err
	}
	running, cancel := context.WithCancel(context.Background())
	h.cancel = cancel
	if c.Role == "assign" {
		h.note("ok", "assign", c.Partitions, "")
	}
	go func() {
		defer close(h.done)
		work(running)
	}()
	return h, nil
}

func splitComma(text string) []string {
	parts := []string{}
	for start, end := 0, 0; end <= len(text); end++ {
		if end == len(text) || text[end] == ',' {
			parts = append(parts, text[start:end])
			start = end + 1
		}
	}
	return parts
}

func (h *history) note(kind, f string, value any, failure string) {
	event := answer{"process": h.c.Name, "type": kind, "f": f, "value": value, "t": float64(time.Now().UnixMicro()) / 1000}
	if failure != "" {
		event["error"] = failure
	}
	text, err := json.Marshal(event)
	if err != nil {
		panic(err)
	}
	h.lock.Lock()
	defer h.lock.Unlock()
	h.out.Write(append(text, '\n'))
	if f != "send" {
		// Whoever waits until all is read looks into the file.
		h.out.Flush()
	}
}

func (h *history) fail(err error) {
	h.lock.Lock()
	defer h.lock.Unlock()
	if len(h.failures) < 20 {
		h.failures = append(h.failures, fmt.Sprint(errorName(err)))
	}
}

// produce sends numbered values until it is told to stop, then waits until all are answered.
func (h *history) produce(running context.Context) {
	pause := time.Duration(max(h.c.PauseMs, 1)) * time.Millisecond
	due := time.Now()
	for number := h.c.First; running.Err() == nil; {
		for range max(h.c.Burst, 1) {
			partition := h.c.Partitions[number%int64(len(h.c.Partitions))]
			value := fmt.Sprintf("%s:%d", h.c.Name, number)
			number++
			h.note("invoke", "send", []any{partition, nil, value}, "")
			record := &kgo.Record{Topic: h.c.Topic, Partition: partition, Value: []byte(value)}
			h.client.Produce(context.Background(), record, func(record *kgo.Record, err error) {
				if err != nil {
					h.note("info", "send", []any{record.Partition, nil, value}, fmt.Sprint(errorName(err)))
					h.fail(err)
					return
				}
				h.note("ok", "send", []any{record.Partition, record.Offset, value}, "")
				h.lock.Lock()
				h.count++
				h.lock.Unlock()
			})
		}
		due = due.Add(pause)
		if late := time.Now().Add(-time.Second); due.Before(late) {
			due = late
		}
		select {
		case <-running.Done():
		case <-time.After(time.Until(due)):
		}
	}
	limit, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	if err := h.client.Flush(limit); err != nil {
		h.fail(err)
	}
}

func (h *history) read(running context.Context) {
	due := time.Now()
	for running.Err() == nil {
		waiting, cancel := context.WithTimeout(running, commitEvery)
		fetches := h.client.PollRecords(waiting, 1000)
		cancel()
		for _, failure := range fetches.Errors() {
			if !isPassing(failure.Err) {
				h.fail(failure.Err)
			}
		}
		found := [][]any{}
		fetches.EachRecord(func(record *kgo.Record) {
			found = append(found, []any{record.Partition, record.Offset, string(record.Value)})
			h.positions[record.Partition] = record.Offset + 1
		})
		if len(found) > 0 {
			h.note("ok", "poll", found, "")
			h.lock.Lock()
			h.count += int64(len(found))
			h.lock.Unlock()
		}
		if h.c.Role == "group" {
			h.identify()
			if time.Now().After(due) {
				h.commit()
				due = time.Now().Add(commitEvery)
			}
			h.client.AllowRebalance()
		}
	}
	if h.c.Role == "group" {
		h.commit()
	}
}

// isPassing says whether a poll's error is the end of its own wait, or a coordinator that is away: the client joins again.
func isPassing(err error) bool {
	var session *kgo.ErrGroupSession
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) || errors.As(err, &session)
}

// turn notes what a member gained or lost; what it has not committed of it is another one's to read again.
func (h *history) turn(f string, places map[string][]int32) {
	partitions := []int32{}
	for _, partition := range places[h.c.Topic] {
		partitions = append(partitions, partition)
		delete(h.positions, partition)
	}
	h.note("ok", f, partitions, "")
}

// identify notes a new member id or generation.
func (h *history) identify() {
	member, generation := h.client.GroupMetadata()
	if member == h.member && generation == h.generation {
		return
	}
	h.member, h.generation = member, generation
	h.note("ok", "member", []any{member, generation}, "")
}

func (h *history) commit() {
	if len(h.positions) == 0 {
		return
	}
	value := map[string]int64{}
	offsets := map[string]map[int32]kgo.EpochOffset{h.c.Topic: {}}
	for partition, offset := range h.positions {
		value[fmt.Sprint(partition)] = offset
		offsets[h.c.Topic][partition] = kgo.EpochOffset{Epoch: -1, Offset: offset}
	}
	h.note("invoke", "commit", value, "")
	limit, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := h.commitAll(limit, offsets); err != nil {
		// A commit that was refused, or that nobody answered: the next one says all of it again.
		h.note("info", "commit", value, fmt.Sprint(errorName(err)))
		return
	}
	h.note("ok", "commit", value, "")
	clear(h.positions)
}

func (h *history) commitAll(limit context.Context, offsets map[string]map[int32]kgo.EpochOffset) error {
	var failure error
	done := make(chan struct{})
	h.client.CommitOffsetsSync(limit, offsets, func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, response *kmsg.OffsetCommitResponse, err error) {
		defer close(done)
		failure = err
		if response == nil {
			return
		}
		for _, topic := range response.Topics {
			for _, partition := range topic.Partitions {
				if partition.ErrorCode != 0 {
					failure = kerr.ErrorForCode(partition.ErrorCode)
				}
			}
		}
	})
	<-done
	return failure
}

func (h *history) stop() answer {
	h.cancel()
	<-h.done
	h.client.CloseAllowingRebalance()
	h.lock.Lock()
	defer h.lock.Unlock()
	if err := errors.Join(h.out.Flush(), h.file.Close()); err != nil {
		h.failures = append(h.failures, err.Error())
	}
	return answer{"count": h.count, "errors": h.failures}
}
