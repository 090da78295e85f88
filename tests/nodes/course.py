#!/usr/bin/env python3
"""The course's fifteen tasks in one node: calls that wait, time out and are tried again, in one thread."""
import heapq
import json
import random
import select
import sys
import time
from collections import OrderedDict, deque
from datetime import datetime, timezone


def parse():
    for line in sys.stdin:
        try:
            message = json.loads(line)
            kind = message["body"].get("type", "unknown")
            print(f"PARSED: {message['src']}|{message['dest']}|{kind}")
        except (ValueError, KeyError, TypeError) as error:
            print(f"no message: {error}", file=sys.stderr)


class Refused(Exception):
    def __init__(self, code, text):
        self.code, self.text = code, text


class Node:
    def __init__(self):
        self.id, self.ids, self.number = None, None, 0
        self.pending, self.timers, self.order = {}, [], 0
        self.log, self.cache = deque(maxlen=100), OrderedDict()
        self.total, self.duplicates, self.latencies, self.started = 0, 0, [], time.monotonic()
        self.chaos, self.rate, self.offered, self.dropped = False, 0.1, 0, 0
        self.rng = random.Random(42)

    # What goes out.

    def send(self, dest, body, spared=False, src=None):
        body = dict(body, msg_id=self.number)
        self.number += 1
        self.note("SENT", src or self.id, dest, body["type"])
        if self.chaos and not spared:
            self.offered += 1
            if self.rng.random() < self.rate:
                self.dropped += 1
                return body["msg_id"]
        print(json.dumps({"src": src or self.id, "dest": dest, "body": body}), flush=True)
        return body["msg_id"]

    def reply(self, request, kind, spared=False, **fields):
        if "msg_id" in request["body"]:
            body = {"type": kind, **fields, "in_reply_to": request["body"]["msg_id"]}
            self.send(request["src"], body, spared, request["dest"])
            if kind != "init_ok":
                self.latencies.append((time.monotonic() - request["arrived"]) * 1e6)

    def refuse(self, request, code, text):
        self.reply(request, "error", code=code, text=text)

    def call(self, dest, body, then):
        msg_id = self.send(dest, body)
        self.pending[msg_id] = (dest, then)
        return msg_id

    def after(self, seconds, then):
        self.order += 1
        heapq.heappush(self.timers, (time.monotonic() + seconds, self.order, then))

    def note(self, way, src, dest, kind):
        ts = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        self.log.append({"ts": ts, "dir": way, "src": src, "dest": dest, "msg_type": kind})

    # What comes in.

    def handle_line(self, line):
        try:
            request = json.loads(line)
            body = request["body"]
            if not isinstance(request["src"], str) or not isinstance(body["type"], str):
                raise ValueError("src and type are strings")
        except (ValueError, KeyError, TypeError) as error:
            print(f"no message: {error}: {line!r}", file=sys.stderr)
            return
        if self.id is not None and request.get("dest") != self.id:
            print(f"not for me: {line!r}", file=sys.stderr)
            return
        request["arrived"] = time.monotonic()
        self.note("RECV", request["src"], request["dest"], body["type"])
        if "in_reply_to" in body:
            dest, then = self.pending.get(body["in_reply_to"], (None, None))
            if dest == request["src"]:
                del self.pending[body["in_reply_to"]]
                then(body)
            return
        handler = getattr(self, "on_" + body["type"], None)
        try:
            if self.id is None and body["type"] != "init":
                raise Refused(11, "no init yet")
            if handler is None:
                raise Refused(10, "no such request: " + body["type"])
            handler(request, body)
        except Refused as error:
            self.refuse(request, error.code, error.text)
        except KeyError as error:
            self.refuse(request, 12, f"a field is missing: {error}")

    def on_init(self, request, body):
        if self.id is not None and (body["node_id"], body["node_ids"]) != (self.id, self.ids):
            raise Refused(22, "I am somebody else")
        self.id, self.ids = body["node_id"], body["node_ids"]
        self.reply(request, "init_ok", spared=True)

    def on_echo(self, request, body):
        self.reply(request, "echo_ok", echo=body["echo"])

    def on_proxy(self, request, body):
        def answered(reply):
            if reply["type"] == "error":
                return self.refuse(request, reply["code"], reply["text"])
            self.reply(request, "proxy_ok", result=reply)

        def late():
            if self.pending.pop(msg_id, None):
                self.refuse(request, 0, "RPC timeout")

        msg_id = self.call(body["target"], body["inner"], answered)
        self.after(1, late)

    def tries(self, request, body, waits, answer):
        """Sends payload, again after each wait, and refuses after the last."""
        calls = []

        def answered(reply):
            if reply["type"] == "error" and reply["code"] == 11 and len(calls) < len(waits):
                return
            for msg_id in calls:
                self.pending.pop(msg_id, None)
            sent, calls[:] = len(calls), [None]
            if reply["type"] == "error":
                return self.refuse(request, reply["code"], reply["text"])
            answer(sent, reply)

        def go_on():
            if calls == [None]:
                return
            if len(calls) == len(waits):
                for msg_id in calls:
                    self.pending.pop(msg_id, None)
                return self.refuse(request, 0, f"RPC failed after {len(waits)} attempts")
            calls.append(self.call(body["target"], body["payload"], answered))
            self.after(waits[len(calls) - 1], go_on)

        go_on()

    def on_relay(self, request, body):
        self.tries(request, body, [0.5] * 3, lambda attempts, result: self.reply(
            request, "relay_ok", attempts=attempts, result=result))

    def on_batch_echo(self, request, body):
        values = body["values"]
        results, calls = {}, []

        def answered(place):
            def then(reply):
                results[place] = reply["echo"]
                if len(results) == len(values):
                    self.reply(request, "batch_echo_ok", results=[results[place] for place in range(len(values))])
            return then

        def late():
            if len(results) < len(values):
                for msg_id in calls:
                    self.pending.pop(msg_id, None)
                self.refuse(request, 0, "RPC timeout")

        if not values:
            return self.reply(request, "batch_echo_ok", results=[])
        for place, value in enumerate(values):
            calls.append(self.call(self.id, {"type": "echo", "echo": value}, answered(place)))
        self.after(2, late)

    def on_pending_count(self, request, body):
        self.reply(request, "pending_count_ok", count=len(self.pending))

    def on_send_fire_forget(self, request, body):
        msg_id = self.call(body["target"], body["payload"], lambda reply: None)
        self.after(2, lambda: self.pending.pop(msg_id, None))
        self.reply(request, "send_fire_forget_ok", pending=len(self.pending))

    def schedule(self, tries, base, longest):
        return [int(min(base * 2 ** k * random.uniform(1, 1.1), longest) * 1000) for k in range(tries)]

    def on_backoff_relay(self, request, body):
        waits = self.schedule(5, 0.1, 2)
        self.tries(request, body, [wait / 1000 for wait in waits], lambda attempts, result: self.reply(
            request, "backoff_relay_ok", attempts=attempts, total_delay_ms=sum(waits[:attempts])))

    def on_compute_backoff(self, request, body):
        waits = self.schedule(body["max_retries"], body["base_delay"], body.get("max_delay", 2))
        self.reply(request, "compute_backoff_ok", schedule_ms=waits, total_ms=sum(waits), retries=len(waits))

    def on_validate(self, request, body):
        try:
            payload = json.loads(body["payload"])
        except ValueError:
            payload = None
        payload = payload if isinstance(payload, dict) else {}
        inner = payload.get("body") if isinstance(payload.get("body"), dict) else {}
        fields = [name for name in ("src", "dest") if isinstance(payload.get(name), str)]
        fields += ["body." + name for name, kind in (("type", str), ("msg_id", int), ("in_reply_to", int))
                   if isinstance(inner.get(name), kind)]
        wrong = any(name in inner and not isinstance(inner[name], int) for name in ("msg_id", "in_reply_to"))
        valid = not wrong and all(name in fields for name in ("src", "dest", "body.type"))
        self.reply(request, "validate_ok", valid=valid, fields=fields)

    def on_get_log(self, request, body):
        self.reply(request, "get_log_ok", entries=list(self.log)[-body["count"]:])

    def on_dedup_echo(self, request, body):
        self.total += 1
        key = (request["src"], body.get("msg_id"))
        again = key in self.cache
        self.duplicates += again
        echo = self.cache.setdefault(key, body["echo"])
        while len(self.cache) > 1000:
            self.cache.popitem(last=False)
        self.reply(request, "dedup_echo_ok", echo=echo, was_duplicate=again)

    def on_dedup_stats(self, request, body):
        self.reply(request, "dedup_stats_ok", total=self.total, duplicates=self.duplicates, cache_size=len(self.cache))

    def on_bench_echo(self, request, body):
        latency = int((time.monotonic() - request["arrived"]) * 1e6)
        self.reply(request, "bench_echo_ok", echo=body["echo"], latency_us=latency)

    def on_bench_stats(self, request, body):
        times, elapsed = sorted(self.latencies), time.monotonic() - self.started
        mean, p99 = (int(sum(times) / len(times)), int(times[len(times) * 99 // 100])) if times else (0, 0)
        self.reply(request, "bench_stats_ok", total_messages=len(times), elapsed_ms=int(elapsed * 1000),
                   throughput_per_sec=len(times) / elapsed, avg_latency_us=mean, p99_latency_us=p99)

    def on_chaos_on(self, request, body):
        rate = body.get("drop_rate", 0.1)
        if not 0 <= rate <= 1:
            raise Refused(12, "drop_rate is from 0 to 1")
        self.chaos, self.rate = True, rate
        self.reply(request, "chaos_on_ok", spared=True, drop_rate=rate)

    def on_chaos_off(self, request, body):
        self.chaos = False
        self.reply(request, "chaos_off_ok", spared=True)

    def on_chaos_stats(self, request, body):
        self.reply(request, "chaos_stats_ok", spared=True, enabled=self.chaos, drop_rate=self.rate,
                   total_sent=self.offered, total_dropped=self.dropped)

    def run(self):
        buffer, stdin = b"", sys.stdin.buffer.raw
        while True:
            wait = max(0, self.timers[0][0] - time.monotonic()) if self.timers else None
            if select.select([stdin], [], [], wait)[0]:
                read = stdin.read(1 << 16)
                if not read:
                    return
                *lines, buffer = (buffer + read).split(b"\n")
                for line in lines:
                    self.handle_line(line)
            while self.timers and self.timers[0][0] <= time.monotonic():
                heapq.heappop(self.timers)[2]()


if __name__ == "__main__":
    parse() if sys.argv[1:] == ["parse"] else Node().run()
