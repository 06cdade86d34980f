package main

import (
	"context"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func (d *driver) serveAdmin(c *command) (answer, error) {
	limit, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	switch c.Do {
	case "createTopics":
		return d.createTopics(limit, c.newTopics())
	case "deleteTopics":
		found, err := d.admin.DeleteTopics(limit, c.Names...)
		results := answer{}
		for _, each := range found {
			results[each.Topic] = errorName(each.Err)
		}
		return answer{"results": results}, err
	case "createPartitions":
		found, err := d.admin.UpdatePartitions(limit, c.Total, c.Topic)
		results := answer{}
		for _, each := range found {
			results[each.Topic] = errorName(each.Err)
		}
		return answer{"results": results}, err
	case "listTopics":
		found, err := d.admin.ListTopics(limit)
		topics := answer{}
		for _, each := range found {
			topics[each.Topic] = len(each.Partitions)
		}
		return answer{"topics": topics}, err
	case "describeConfigs":
		return d.describeConfigs(limit, c)
	case "alterConfigs":
		return d.alterConfigs(limit, c)
	case "describeCluster":
		found, err := d.admin.BrokerMetadata(limit)
		return answer{"clusterId": found.Cluster, "brokers": len(found.Brokers), "controller": found.Controller}, err
	case "deleteRecords":
		return d.deleteRecords(limit, c)
	case "listOffsets":
		return d.listOffsets(limit, c)
	}
	return d.serveGroups(limit, c)
}

func (d *driver) serveGroups(limit context.Context, c *command) (answer, error) {
	switch c.Do {
	case "listGroups":
		found, err := d.admin.ListGroups(limit)
		return answer{"groups": found.Groups()}, err
	case "describeGroup":
		described, err := d.admin.DescribeGroups(limit, c.Group)
		found := described[c.Group]
		return answer{"state": strings.ToLower(found.State), "members": len(found.Members)}, err
	case "deleteGroups":
		found, err := d.admin.DeleteGroups(limit, c.Groups...)
		results := answer{}
		for _, each := range found {
			results[each.Group] = errorName(each.Err)
		}
		return answer{"results": results}, err
	case "groupOffsets":
		found, err := d.admin.FetchOffsets(limit, c.Group)
		offsets := map[string]map[int32]int64{}
		found.Each(func(each kadm.OffsetResponse) {
			if offsets[each.Topic] == nil {
				offsets[each.Topic] = map[int32]int64{}
			}
			offsets[each.Topic][each.Partition] = each.At
		})
		return answer{"offsets": offsets}, err
	case "setGroupOffsets":
		found, err := d.admin.CommitOffsets(limit, c.Group, offsetsOf(c))
		if err == nil {
			err = found.Error()
		}
		return answer{}, err
	case "deleteGroupOffsets":
		places := kadm.TopicsSet{}
		places.Add(c.Topic, c.Partitions...)
		found, err := d.admin.DeleteOffsets(limit, c.Group, places)
		if err == nil {
			err = found.Error()
		}
		return answer{}, err
	}
	return unsupported, nil
}

func (d *driver) createTopics(limit context.Context, topics []newTopic) (answer, error) {
	results := answer{}
	for _, topic := range topics {
		configs := map[string]*string{}
		for name, value := range topic.Configs {
			configs[name] = &value
		}
		_, err := d.admin.CreateTopic(limit, *topic.Partitions, *topic.ReplicationFactor, configs, topic.Name)
		results[topic.Name] = errorName(err)
	}
	return answer{"results": results}, nil
}

func (d *driver) describeConfigs(limit context.Context, c *command) (answer, error) {
	var found kadm.ResourceConfigs
	var err error
	if c.Type == "broker" {
		id, _ := strconv.Atoi(c.Name)
		found, err = d.admin.DescribeBrokerConfigs(limit, int32(id))
	} else {
		found, err = d.admin.DescribeTopicConfigs(limit, c.Name)
	}
	configs := answer{}
	for _, resource := range found {
		for _, entry := range resource.Configs {
			configs[entry.Key] = entry.Value
		}
	}
	return answer{"configs": configs}, err
}

func (d *driver) alterConfigs(limit context.Context, c *command) (answer, error) {
	changes := []kadm.AlterConfig{}
	for name, value := range c.Set {
		changes = append(changes, kadm.AlterConfig{Op: kadm.SetConfig, Name: name, Value: &value})
	}
	for _, name := range c.Unset {
		changes = append(changes, kadm.AlterConfig{Op: kadm.DeleteConfig, Name: name})
	}
	found, err := d.admin.AlterTopicConfigs(limit, changes, c.Name)
	results := answer{}
	for _, each := range found {
		results[each.Name] = errorName(each.Err)
	}
	return answer{"results": results}, err
}

func offsetsOf(c *command) kadm.Offsets {
	offsets := kadm.Offsets{}
	for partition, offset := range c.offsets() {
		offsets.AddOffset(c.Topic, partition, offset, -1)
	}
	return offsets
}

func (d *driver) deleteRecords(limit context.Context, c *command) (answer, error) {
	found, err := d.admin.DeleteRecords(limit, offsetsOf(c))
	lows := map[int32]int64{}
	found.Each(func(each kadm.DeleteRecordsResponse) { lows[each.Partition] = each.LowWatermark })
	return answer{"lows": lows}, err
}

// highestTimestamp is the special timestamp of KIP-734.
const highestTimestamp = -3

func (d *driver) listOffsets(limit context.Context, c *command) (answer, error) {
	var found kadm.ListedOffsets
	var err error
	switch at := c.At.(type) {
	case float64:
		found, err = d.admin.ListOffsetsAfterMilli(limit, int64(at), c.Topic)
	case string:
		switch at {
		case "earliest":
			found, err = d.admin.ListStartOffsets(limit, c.Topic)
		case "max":
			return d.offsetOfHighestTimestamp(limit, c.Topic)
		default:
			found, err = d.admin.ListEndOffsets(limit, c.Topic)
		}
	}
	offsets := map[int32]int64{}
	found.Each(func(each kadm.ListedOffset) { offsets[each.Partition] = each.Offset })
	return answer{"offsets": offsets}, err
}

// offsetOfHighestTimestamp sends the plain request: kadm has no call for it.
func (d *driver) offsetOfHighestTimestamp(limit context.Context, topic string) (answer, error) {
	request := kmsg.NewPtrListOffsetsRequest()
	asked := kmsg.NewListOffsetsRequestTopic()
	asked.Topic = topic
	place := kmsg.NewListOffsetsRequestTopicPartition()
	place.Timestamp = highestTimestamp
	asked.Partitions = append(asked.Partitions, place)
	request.Topics = append(request.Topics, asked)
	response, err := request.RequestWith(limit, d.client)
	if err != nil {
		return nil, err
	}
	found := response.Topics[0].Partitions[0]
	return answer{"offsets": map[int32]int64{0: found.Offset}}, kerr.ErrorForCode(found.ErrorCode)
}
