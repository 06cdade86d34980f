// Serves the compatibility tests: one JSON command a line on standard input, one JSON answer a line.
// Bytes travel as base64. A command that a client has no call for answers {"unsupported": true}.
package main

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"sort"
	"strconv"
	"sync"
	"time"
)

const patience = 60 * time.Second

type command struct {
	Do                string
	Topic             string
	Topics            json.RawMessage
	Codec             string
	Acks              any
	Idempotent        bool
	LingerMs          int
	DeliveryTimeoutMs int
	Records           []outgoing
	Path              string
	Member            string
	Group             string
	Groups            []string
	Assignor          string
	Instance          string
	SessionTimeoutMs  int
	Names             []string
	Name              string
	Type              string
	Total             int
	Set               map[string]string
	Unset             []string
	Offsets           map[string]int64
	Partitions        []int32
	At                any
	Burst             int
	PauseMs           int
	Role              string
	First             int64
}

type outgoing struct {
	Key         *string
	Value       *string
	Headers     [][2]*string
	TimestampMs *int64
	Partition   *int32
}

type newTopic struct {
	Name              string
	Partitions        *int32
	ReplicationFactor *int16
	Configs           map[string]string
}

type answer map[string]any

var unsupported = answer{"unsupported": true}

func serve(run func(*command) (answer, error)) {
	lines := bufio.NewReaderSize(os.Stdin, 1<<20)
	out := bufio.NewWriter(os.Stdout)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return
		}
		var c command
		var reply answer
		if err = json.Unmarshal(line, &c); err == nil {
			reply, err = run(&c)
		}
		if err != nil {
			reply = answer{"error": err.Error()}
		}
		text, err := json.Marshal(reply)
		if err != nil {
			panic(err)
		}
		fmt.Fprintf(out, "%s\n", text)
		out.Flush()
	}
}

func decode(text *string) []byte {
	if text == nil {
		return nil
	}
	data, err := base64.StdEncoding.DecodeString(*text)
	if err != nil {
		panic(err)
	}
	if data == nil {
		data = []byte{}
	}
	return data
}

func encode(data []byte) any {
	if data == nil {
		return nil
	}
	return base64.StdEncoding.EncodeToString(data)
}

func texts(raw json.RawMessage) []string {
	var all []string
	if err := json.Unmarshal(raw, &all); err != nil {
		panic(err)
	}
	return all
}

func (c *command) newTopics() []newTopic {
	var all []newTopic
	if err := json.Unmarshal(c.Topics, &all); err != nil {
		panic(err)
	}
	for index := range all {
		partitions, copies := int32(-1), int16(-1)
		if all[index].Partitions == nil {
			all[index].Partitions = &partitions
		}
		if all[index].ReplicationFactor == nil {
			all[index].ReplicationFactor = &copies
		}
	}
	return all
}

func (c *command) offsets() map[int32]int64 {
	all := map[int32]int64{}
	for partition, offset := range c.Offsets {
		number, err := strconv.Atoi(partition)
		if err != nil {
			panic(err)
		}
		all[int32(number)] = offset
	}
	return all
}

func (c *command) session() time.Duration {
	if c.SessionTimeoutMs > 0 {
		return time.Duration(c.SessionTimeoutMs) * time.Millisecond
	}
	return 6 * time.Second
}

// protocolName gives the protocol's name of an error code, for the codes that the tests look at.
func protocolName(code int) any {
	switch code {
	case 0:
		return nil
	case 3:
		return "UNKNOWN_TOPIC_OR_PARTITION"
	case 10:
		return "MESSAGE_TOO_LARGE"
	case 17:
		return "INVALID_TOPIC_EXCEPTION"
	case 36:
		return "TOPIC_ALREADY_EXISTS"
	case 37:
		return "INVALID_PARTITIONS"
	case 38:
		return "INVALID_REPLICATION_FACTOR"
	case 40:
		return "INVALID_CONFIG"
	case 69:
		return "GROUP_ID_NOT_FOUND"
	}
	return fmt.Sprintf("error code %d", code)
}

// inbox holds what a group member was given and has read.
type inbox struct {
	lock     sync.Mutex
	assigned map[string]map[int32]bool
	records  []answer
}

func newInbox() *inbox {
	return &inbox{assigned: map[string]map[int32]bool{}, records: []answer{}}
}

func (i *inbox) assign(assigned map[string][]int32) {
	i.lock.Lock()
	defer i.lock.Unlock()
	i.assigned = map[string]map[int32]bool{}
	for topic, partitions := range assigned {
		i.assigned[topic] = map[int32]bool{}
		for _, partition := range partitions {
			i.assigned[topic][partition] = true
		}
	}
}

func (i *inbox) add(record answer) {
	i.lock.Lock()
	defer i.lock.Unlock()
	i.records = append(i.records, record)
}

func (i *inbox) take() []answer {
	i.lock.Lock()
	defer i.lock.Unlock()
	taken := i.records
	i.records = []answer{}
	return taken
}

func (i *inbox) places() [][]any {
	i.lock.Lock()
	defer i.lock.Unlock()
	all := [][]any{}
	for topic, partitions := range i.assigned {
		for partition := range partitions {
			all = append(all, []any{topic, partition})
		}
	}
	sort.Slice(all, func(a, b int) bool { return all[a][1].(int32) < all[b][1].(int32) })
	return all
}
