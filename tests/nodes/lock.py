#!/usr/bin/env python3
# A lock for everybody, kept by n0; the others pass on what they are asked. With --each every node keeps a lock of its own.
import json, sys
each, me, holder = "--each" in sys.argv, None, None
while line := sys.stdin.readline():
    message = json.loads(line)
    body = message["body"]
    reply = {"type": body["type"] + "_ok", "in_reply_to": body["msg_id"]}
    if body["type"] == "init":
        me = body["node_id"]
    elif not each and me != "n0":
        print(json.dumps({"src": message["src"], "dest": "n0", "body": body}), flush=True)
        continue
    elif body["type"] == "release":
        holder = None
    elif holder is None:
        holder = message["src"]
    else:
        reply |= {"type": "error", "code": 11, "text": "it is held"}
    print(json.dumps({"src": me, "dest": message["src"], "body": reply}), flush=True)
