#!/usr/bin/env node
// A node for Maelstrom. It answers echo, and tells the other nodes what it is told (broadcast).
"use strict";

const readline = require("node:readline");

// Who this node is ("n0"), the other nodes, and a number for each message that it sends.
const node = { id: null, peers: [], msgId: 0 };

// What was broadcast: the state of this node.
const messages = [];

function send(dest, body) {
  node.msgId += 1;
  // One message is one line.
  process.stdout.write(JSON.stringify({ src: node.id, dest, body: { msg_id: node.msgId, ...body } }) + "\n");
}

function reply(request, body) {
  // in_reply_to says which request this answers.
  send(request.src, { in_reply_to: request.body.msg_id, ...body });
}

const handlers = {
  // The first message: it says who this node is, and who else there is.
  init(request) {
    node.id = request.body.node_id;
    node.peers = request.body.node_ids.filter((peer) => peer !== node.id);
    reply(request, { type: "init_ok" });
  },

  echo(request) {
    reply(request, { type: "echo_ok", echo: request.body.echo });
  },

  // It suggests neighbours. This node talks to everybody, and needs none.
  topology(request) {
    reply(request, { type: "topology_ok" });
  },

  // A client tells something: remember it, and tell the others.
  broadcast(request) {
    const { message } = request.body;
    messages.push(message);
    for (const peer of node.peers) {
      // This is lost when the network is broken. What would you have to know, to say it again?
      send(peer, { type: "gossip", message });
    }
    reply(request, { type: "broadcast_ok" });
  },

  // Another node tells something. The name and the fields of this message are ours: change them as you like.
  gossip(request) {
    const { message } = request.body;
    if (!messages.includes(message)) {
      messages.push(message);
    }
  },

  read(request) {
    reply(request, { type: "read_ok", messages });
  },
};

readline.createInterface({ input: process.stdin }).on("line", (line) => {
  const request = JSON.parse(line);
  // A log goes to stderr (console.error). On stdout there are only messages: do not use console.log.
  console.error("got", line);
  if (Object.hasOwn(handlers, request.body.type)) {
    handlers[request.body.type](request);
  } else if (request.body.in_reply_to === undefined) {
    reply(request, { type: "error", code: 10, text: "not supported" });
  }
});
