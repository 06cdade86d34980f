package main

import (
	"fmt"
	"net"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"github.com/twmb/franz-go/pkg/kfake"
)

// serveKfake runs franz-go's in-memory broker as a second yardstick, until SIGTERM.
func serveKfake(o options) (figures, error) {
	_, port, err := net.SplitHostPort(o.bootstrap)
	if err != nil {
		return nil, err
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return nil, err
	}
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(number))
	if err != nil {
		return nil, err
	}
	defer cluster.Close()
	fmt.Fprintln(os.Stderr, "kfake listens on", cluster.ListenAddrs())
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	<-stop
	return figures{}, nil
}
