#!/usr/bin/env python3
"""A node for Maelstrom. It answers echo, and tells the other nodes what it is told (broadcast)."""

import json
import sys


class Node:
    """What every node has: who it is, and how it sends. There is nothing to change here."""

    def __init__(self):
        self.id = None  # "n0": who this node is
        self.peers = []  # the other nodes
        self.msg_id = 0  # numbers what it sends

    def send(self, dest, body):
        self.msg_id += 1
        message = {"src": self.id, "dest": dest, "body": {"msg_id": self.msg_id, **body}}
        # One message is one line. Without flush the line may stay in this program, and nobody gets it.
        print(json.dumps(message), flush=True)

    def reply(self, request, body):
        # in_reply_to says which request this answers.
        self.send(request["src"], {"in_reply_to": request["body"]["msg_id"], **body})


node = Node()
messages = []  # what was broadcast: the state of this node


def on_init(request):
    """The first message: it says who this node is, and who else there is."""
    node.id = request["body"]["node_id"]
    node.peers = [peer for peer in request["body"]["node_ids"] if peer != node.id]
    node.reply(request, {"type": "init_ok"})


def on_echo(request):
    node.reply(request, {"type": "echo_ok", "echo": request["body"]["echo"]})


def on_topology(request):
    """It suggests neighbours. This node talks to everybody, and needs none."""
    node.reply(request, {"type": "topology_ok"})


def on_broadcast(request):
    """A client tells something: remember it, and tell the others."""
    message = request["body"]["message"]
    messages.append(message)
    for peer in node.peers:
        # This is lost when the network is broken. What would you have to know, to say it again?
        node.send(peer, {"type": "gossip", "message": message})
    node.reply(request, {"type": "broadcast_ok"})


def on_gossip(request):
    """Another node tells something. The name and the fields of this message are ours: change them as you like."""
    message = request["body"]["message"]
    if message not in messages:
        messages.append(message)


def on_read(request):
    node.reply(request, {"type": "read_ok", "messages": messages})


# One line after the other, as they come. Do not read all of stdin first: it does not end while the node lives.
for line in iter(sys.stdin.readline, ""):
    request = json.loads(line)
    # A log goes to stderr. On stdout there are only messages.
    print("got", line.strip(), file=sys.stderr)
    handler = globals().get("on_" + request["body"]["type"])
    if handler:
        handler(request)
    elif "in_reply_to" not in request["body"]:
        node.reply(request, {"type": "error", "code": 10, "text": "not supported"})
