// Scenarios that drive the broker through MQTT.js: `node scenarios.mjs <scenario> <port> <protocol version>`.
// Each ends the process with status 0, or 1 and the reason on stderr. Absent: starting the broker (`test_mqttjs.py`).

import assert from "node:assert/strict";
import { once } from "node:events";
import mqtt from "mqtt";

const [name, port, version] = [process.argv[2], process.argv[3], Number(process.argv[4])];
const protocol = { protocolVersion: version, ...(version === 3 && { protocolId: "MQIsdp" }) };
const DEADLINE_MS = 20_000;
const clients = [];

// A connected client; messages it receives are kept in order in `inbox`.
async function connect(options = {}) {
  const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${port}`, {
    ...protocol,
    reconnectPeriod: 0,
    ...options,
  });
  clients.push(client);
  return client;
}

// Collects messages; `take(n)` resolves with the next n.
function collector(client) {
  const inbox = [];
  client.on("message", (topic, payload, packet) => {
    inbox.push({ topic, payload, packet });
    client.emit("collected");
  });
  return {
    async take(count) {
      while (inbox.length < count) await once(client, "collected");
      return inbox.splice(0, count);
    },
  };
}

const unique = `js/${process.pid}/${Date.now()}`;
const session = (clientId, clean) =>
  version === 5
    ? { clientId, clean, properties: { sessionExpiryInterval: 60 } }
    : { clientId, clean };

const scenarios = {
  async publish_subscribe() {
    for (const qos of [0, 1, 2]) {
      const topic = `${unique}/${qos}`;
      const subscriber = await connect();
      const received = collector(subscriber);
      await subscriber.subscribeAsync(topic, { qos });
      const publisher = await connect();
      for (let number = 0; number < 300; number++) await publisher.publishAsync(topic, `${number}`, { qos });
      const messages = await received.take(300);
      assert.deepEqual(messages.map((each) => Number(each.payload)), [...Array(300).keys()]);
      assert(messages.every((each) => each.packet.qos === qos));
    }
  },

  async retained() {
    const publisher = await connect();
    await publisher.publishAsync(unique, "kept", { qos: 1, retain: true });
    const subscriber = await connect();
    const received = collector(subscriber);
    await subscriber.subscribeAsync(unique, { qos: 1 });
    const [message] = await received.take(1);
    assert.equal(message.payload.toString(), "kept");
    assert.equal(message.packet.retain, true);
    await publisher.publishAsync(unique, "", { qos: 1, retain: true });
  },

  async will() {
    const watcher = await connect();
    const received = collector(watcher);
    await watcher.subscribeAsync(unique, { qos: 2 });
    const dying = await connect({ will: { topic: unique, payload: Buffer.from("gone"), qos: 2, retain: false } });
    dying.stream.destroy();
    const [message] = await received.take(1);
    assert.equal(message.payload.toString(), "gone");
  },

  async resume() {
    const clientId = unique.replaceAll("/", "-");
    const first = await connect(session(clientId, true));
    await first.endAsync();
    const second = await connect(session(clientId, false));
    await second.subscribeAsync(unique, { qos: 2 });
    await second.endAsync();
    const publisher = await connect();
    for (let number = 0; number < 100; number++) await publisher.publishAsync(unique, `${number}`, { qos: 2 });
    const third = mqtt.connect(`mqtt://127.0.0.1:${port}`, {
      ...protocol,
      reconnectPeriod: 0,
      ...session(clientId, false),
    });
    clients.push(third);
    const received = collector(third);
    const [connack] = await once(third, "connect");
    if (version >= 4) assert.equal(connack.sessionPresent, true);
    const messages = await received.take(100);
    assert.deepEqual(messages.map((each) => Number(each.payload)), [...Array(100).keys()]);
  },

  async large_payload() {
    // 1 MB less room for the header
    const payload = Buffer.alloc((1 << 20) - 200, "0123456789abcdef");
    const subscriber = await connect();
    const received = collector(subscriber);
    await subscriber.subscribeAsync(unique, { qos: 1 });
    const publisher = await connect();
    for (const qos of [0, 1, 2]) await publisher.publishAsync(unique, payload, { qos });
    for (const message of await received.take(3)) assert(message.payload.equals(payload));
  },

  async shared_subscription() {
    const members = [await connect(), await connect(), await connect()];
    let arrived = 0;
    const seen = new Set();
    const all = new Promise((resolve) => {
      for (const member of members)
        member.on("message", (_topic, payload) => {
          seen.add(payload.toString());
          if (++arrived === 90) resolve();
        });
    });
    for (const member of members) await member.subscribeAsync(`$share/group/${unique}`, { qos: 1 });
    const publisher = await connect();
    for (let number = 0; number < 90; number++) await publisher.publishAsync(unique, `${number}`, { qos: 1 });
    await all;
    assert.equal(seen.size, 90);
  },

  async properties() {
    assert.equal(version, 5);
    const subscriber = await connect({ properties: { topicAliasMaximum: 10, receiveMaximum: 5 } });
    const received = collector(subscriber);
    await subscriber.subscribeAsync(unique, { qos: 1, properties: { subscriptionIdentifier: 42 } });
    const publisher = await connect({ autoAssignTopicAlias: true });
    const properties = {
      payloadFormatIndicator: true,
      contentType: "text/plain",
      responseTopic: `${unique}/reply`,
      correlationData: Buffer.from("id"),
      userProperties: { a: ["1", "2"], b: "3" },
    };
    for (let number = 0; number < 20; number++) await publisher.publishAsync(unique, `${number}`, { qos: 1, properties });
    for (const message of await received.take(20)) {
      const got = message.packet.properties;
      assert.equal(got.contentType, "text/plain");
      assert.equal(got.responseTopic, `${unique}/reply`);
      assert.equal(got.correlationData.toString(), "id");
      assert.deepEqual({ ...got.userProperties }, properties.userProperties);
      assert.equal([got.subscriptionIdentifier].flat()[0], 42);
    }
  },
};

const deadline = setTimeout(() => {
  console.error(`${name}: not finished after ${DEADLINE_MS} ms`);
  process.exit(1);
}, DEADLINE_MS);

try {
  await scenarios[name]();
  for (const client of clients) client.end(true);
  clearTimeout(deadline);
} catch (error) {
  console.error(error);
  process.exit(1);
}
