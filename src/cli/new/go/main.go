// A node for Maelstrom. It answers echo, and tells the other nodes what it is told (broadcast).
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
)

// Message is one line. The fields of a body differ from type to type.
type Message struct {
	Src  string         `json:"src"`
	Dest string         `json:"dest"`
	Body map[string]any `json:"body"`
}

// Node is who this node is, and its state.
type Node struct {
	id    string   // "n0"
	peers []string // the other nodes
	msgID int      // numbers what it sends

	messages []json.Number        // what was broadcast, in order
	known    map[json.Number]bool // the same, to ask for one
}

func (n *Node) send(dest string, body map[string]any) {
	n.msgID++
	body["msg_id"] = n.msgID
	line, err := json.Marshal(Message{Src: n.id, Dest: dest, Body: body})
	if err != nil {
		panic(err)
	}
	// One message is one line. os.Stdout has no buffer, so there is nothing to flush.
	fmt.Fprintf(os.Stdout, "%s\n", line)
}

func (n *Node) reply(request Message, body map[string]any) {
	// in_reply_to says which request this answers.
	body["in_reply_to"] = request.Body["msg_id"]
	n.send(request.Src, body)
}

// learn says whether a message is new.
func (n *Node) learn(message json.Number) bool {
	if n.known[message] {
		return false
	}
	n.known[message] = true
	n.messages = append(n.messages, message)
	return true
}

func (n *Node) handle(request Message) {
	switch request.Body["type"] {
	case "init": // The first message: it says who this node is, and who else there is.
		n.id = request.Body["node_id"].(string)
		for _, id := range request.Body["node_ids"].([]any) {
			if id.(string) != n.id {
				n.peers = append(n.peers, id.(string))
			}
		}
		n.reply(request, map[string]any{"type": "init_ok"})
	case "echo":
		n.reply(request, map[string]any{"type": "echo_ok", "echo": request.Body["echo"]})
	case "topology": // It suggests neighbours. This node talks to everybody, and needs none.
		n.reply(request, map[string]any{"type": "topology_ok"})
	case "broadcast": // A client tells something: remember it, and tell the others.
		message := request.Body["message"].(json.Number)
		n.learn(message)
		for _, peer := range n.peers {
			// This is lost when the network is broken. What would you have to know, to say it again?
			n.send(peer, map[string]any{"type": "gossip", "message": message})
		}
		n.reply(request, map[string]any{"type": "broadcast_ok"})
	case "gossip": // Another node tells something. The name and the fields of this message are ours: change them.
		n.learn(request.Body["message"].(json.Number))
	case "read":
		n.reply(request, map[string]any{"type": "read_ok", "messages": n.messages})
	default:
		if _, isReply := request.Body["in_reply_to"]; !isReply {
			n.reply(request, map[string]any{"type": "error", "code": 10, "text": "not supported"})
		}
	}
}

func main() {
	node := Node{known: map[json.Number]bool{}, messages: []json.Number{}}
	lines := json.NewDecoder(bufio.NewReader(os.Stdin))
	// Without this every number would become a float64, and large ones would change.
	lines.UseNumber()
	for {
		var request Message
		if err := lines.Decode(&request); err != nil {
			return // stdin has ended
		}
		// A log goes to stderr. On stdout there are only messages: do not use fmt.Println.
		fmt.Fprintln(os.Stderr, "got", request.Body["type"], "from", request.Src)
		node.handle(request)
	}
}
