#!/usr/bin/env python3
import json, sys
while line := sys.stdin.readline():
    message = json.loads(line)
    body = message["body"]
    reply = {"type": body["type"] + "_ok", "in_reply_to": body["msg_id"]}
    if body["type"] == "echo":
        reply["echo"] = body["echo"]
    print(json.dumps({"src": message["dest"], "dest": message["src"], "body": reply}), flush=True)
