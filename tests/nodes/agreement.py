#!/usr/bin/env python3
# Nodes that differ from a plain one in what their first argument says: see perf/agreement.
import json, sys
way, me, others, seen, registers, count = sys.argv[1], None, [], [], {}, 0


def say(dest, body, src=None):
    print(json.dumps({"src": src or me, "dest": dest, "body": body}), flush=True)


GOSSIP = {
    "no-type": {}, "number-type": {"type": 7}, "null-id": {"type": "g", "msg_id": None},
    "text-id": {"type": "g", "msg_id": "a"}, "fraction-id": {"type": "g", "msg_id": 3.5},
    "object-id": {"type": "g", "msg_id": {}}, "text-reply": {"type": "g", "in_reply_to": "1"},
}
while line := sys.stdin.readline():
    message = json.loads(line)
    src, body = message["src"], message["body"]
    kind = body.get("type")
    reply = {"type": f"{kind}_ok", "in_reply_to": body.get("msg_id")}
    if kind == "init":
        me, others = body["node_id"], [n for n in body["node_ids"] if n != body["node_id"]]
        if way == "init-field":
            reply["version"] = 3
        if way == "init-null":
            reply["msg_id"] = None
        say(src, reply)
        continue
    if way == "pass-on" and me != "n0":
        say("n0", body, src)
        continue
    count += 1
    if kind == "echo":
        reply["echo"] = body["echo"]
        if way == "silent" and count > 5:
            continue
        if count == 5:
            if way == "not-json":
                print("got it", flush=True)
            if way == "refuse":
                reply = {"type": "error", "in_reply_to": body["msg_id"], "code": 11, "text": "busy"}
            if way == "extra-field":
                reply["more"] = 1
            if way == "no-message":
                say("n77", {"type": "x"})
            if way == "lose-one":
                continue
        if way == "twice":
            say(src, reply)
        say(src, reply, "n0" if way == "other-name" else None)
    elif kind == "generate":
        if way == "same-escaped":
            line = json.dumps({"src": me, "dest": src, "body": {**reply, "id": "a\u2028"}}, ensure_ascii=count % 2 == 0)
            print(line, flush=True)
            continue
        if way == "error-key" and count % 10 == 0:
            reply = {"type": "error", "in_reply_to": body["msg_id"], "code": 11, "text": "busy", "retry_in_ms": 5}
        reply["id"] = f"{me}-{count}"
        if reply["type"] == "error":
            del reply["id"]
        say(src, reply)
    elif kind == "broadcast":
        seen.append(body["message"])
        for other in others:
            say(other, {**GOSSIP.get(way, {"type": "g"}), "value": body["message"]})
        say(src, reply)
    elif kind == "read" and "key" not in body:
        say(src, {**reply, "messages": seen})
    elif kind in ("read", "write", "cas"):
        held = registers.get(body["key"])
        if kind == "write":
            registers[body["key"]] = body["value"]
        elif held is None:
            reply = {"type": "error", "in_reply_to": body["msg_id"], "code": 20, "text": "no such key"}
        elif kind == "read":
            reply["value"] = 99 if way == "late-99" and count > 150 else held
        elif held == body["from"]:
            registers[body["key"]] = body["to"]
        else:
            reply = {"type": "error", "in_reply_to": body["msg_id"], "code": 22, "text": f"it is {held}"}
        say(src, reply)
    elif kind == "topology":
        say(src, reply)
    elif "value" in body:
        seen.append(body["value"])
