// Drives franz-go for the compatibility tests: one JSON command a line on standard input, one JSON answer a line.
// Bytes travel as base64. A command that this client has no call for answers {"unsupported": true}.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
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

type answer map[string]any

type driver struct {
	bootstrap string
	client    *kgo.Client
	admin     *kadm.Client
	members   map[string]*member
	load      *load
	histories map[string]*history
}

func main() {
	bootstrap := os.Args[1]
	client, err := kgo.NewClient(kgo.SeedBrokers(splitComma(bootstrap)...), kgo.MetadataMinAge(50*time.Millisecond))
	if err != nil {
		panic(err)
	}
	d := &driver{bootstrap, client, kadm.NewClient(client), map[string]*member{}, nil, map[string]*history{}}
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
			reply, err = d.serve(&c)
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

func (d *driver) serve(c *command) (answer, error) {
	switch c.Do {
	case "produce":
		return d.produce(c)
	case "produceFile":
		return d.produceFile(c)
	case "consume":
		return d.consume(c)
	case "consumeFile":
		return d.consumeFile(c)
	case "join":
		return answer{}, d.join(c)
	case "assignment":
		return answer{"partitions": d.members[c.Member].places()}, nil
	case "take":
		return answer{"records": d.members[c.Member].take()}, nil
	case "commit":
		return answer{}, d.members[c.Member].commit()
	case "leave":
		d.members[c.Member].leave()
		delete(d.members, c.Member)
		return answer{}, nil
	case "startLoad":
		var err error
		d.load, err = startLoad(d, c)
		return answer{}, err
	case "stopLoad":
		return d.load.stop(), nil
	case "startHistory":
		h, err := startHistory(d.bootstrap, *c)
		d.histories[c.Name] = h
		return answer{}, err
	case "stopHistory":
		h := d.histories[c.Name]
		delete(d.histories, c.Name)
		return h.stop(), nil
	}
	return d.serveAdmin(c)
}
