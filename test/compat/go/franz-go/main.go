// Drives franz-go for the compatibility tests.
package main

import (
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

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
	serve(d.run)
}

func (d *driver) run(c *command) (answer, error) {
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
