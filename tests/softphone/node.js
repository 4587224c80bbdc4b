// The softphone in Node, where there is no browser: `node node.js PACKAGES`. The first line of standard
// input is its settings as JSON, with the origin that it pretends to be of; it registers, and unregisters
// as its input ends. Each event is printed as one line of JSON.
"use strict";

const { createRequire } = require("node:module");
const readline = require("node:readline");
const JsSIP = createRequire(process.argv[2] + "/")("jssip");
const Softphone = require("./softphone.js");

const lines = readline.createInterface({ input: process.stdin });

lines.once("line", async (line) => {
  const { origin, ...settings } = JSON.parse(line);
  const WithoutOrigin = globalThis.WebSocket;
  globalThis.WebSocket = class extends WithoutOrigin {
    constructor(url, protocols) {
      super(url, { protocols, headers: { origin } });
    }
  };
  const phone = new Softphone(JsSIP, settings);
  const tell = async (...names) => {
    const event = await phone.next(names, 10000);
    console.log(JSON.stringify(event));
    return event && event.name;
  };
  lines.on("close", async () => {
    phone.unregister();
    await tell("unregistered");
    process.exit();
  });
  phone.start();
  if ((await tell("connected", "disconnected")) !== "connected") process.exit();
  phone.register();
  await tell("registered", "failed");
});
