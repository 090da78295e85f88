#!/usr/bin/env python3
"""A broadcast that tells the others of each message once: what is lost on the way is never told again."""

import json
import sys

messages, node, peers = set(), None, []


def send(dest, body):
    print(json.dumps({"src": node, "dest": dest, "body": body}), flush=True)


for line in sys.stdin:
    message = json.loads(line)
    body = message["body"]
    answer = {"type": body["type"] + "_ok", "in_reply_to": body.get("msg_id")}
    if body["type"] == "init":
        node = body["node_id"]
        peers = [peer for peer in body["node_ids"] if peer != node]
    elif body["type"] == "broadcast":
        messages.add(body["message"])
        for peer in peers:
            send(peer, {"type": "tell", "message": body["message"]})
    elif body["type"] == "read":
        answer["messages"] = sorted(messages)
    elif body["type"] == "tell":
        messages.add(body["message"])
        continue
    send(message["src"], answer)
