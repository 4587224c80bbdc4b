// A softphone of JsSIP that a test drives, in a browser's page or in Node.
"use strict";

class Softphone {
  // `settings`: url of the WebSocket, user, realm, password, expires (s).
  constructor(JsSIP, settings) {
    this._events = [];
    this._wake = () => {};
    this._session = null;
    this._agent = new JsSIP.UA({
      sockets: [new JsSIP.WebSocketInterface(settings.url)],
      uri: `sip:${settings.user}@${settings.realm}`,
      password: settings.password,
      register: false,
      register_expires: settings.expires,
      session_timers: false,
      user_agent: "softphone",
    });
    for (const name of ["connected", "disconnected", "registered", "unregistered"]) {
      this._agent.on(name, () => this._tell(name));
    }
    this._agent.on("registrationFailed", ({ response, cause }) =>
      this._tell("failed", response ? [response.status_code, response.reason_phrase] : [0, cause]));
    this._agent.on("newRTCSession", ({ session }) => this._take(session));
  }

  _tell(name, detail = null) {
    this._events.push({ name, detail });
    this._wake();
  }

  _take(session) {
    this._session = session;
    if (session.direction === "incoming") this._tell("incoming", session.remote_identity.uri.toString());
    session.on("progress", () => this._tell("ringing"));
    session.on("accepted", () => this._tell("accepted"));
    session.on("confirmed", () => this._tell("established"));
    session.on("ended", ({ cause }) => this._tell("closed", cause));
    session.on("failed", ({ cause, message }) =>
      this._tell("closed", message && message.status_code ? `${message.status_code} ${cause}` : cause));
  }

  // The next event of one of these names, which those before it make way for; null after `ms`.
  async next(names, ms) {
    const deadline = Date.now() + ms;
    for (;;) {
      const found = this._events.findIndex(({ name }) => names.includes(name));
      if (found >= 0) return this._events.splice(0, found + 1)[found];
      const left = deadline - Date.now();
      if (left <= 0) return null;
      await new Promise((resolve) => {
        this._wake = resolve;
        setTimeout(resolve, left);
      });
    }
  }

  start() {
    this._agent.start();
  }

  register() {
    this._agent.register();
  }

  unregister() {
    this._agent.unregister();
  }

  dial(uri) {
    this._agent.call(uri, { mediaConstraints: { audio: true, video: false } });
  }

  answer() {
    this._session.answer({ mediaConstraints: { audio: true, video: false } });
  }

  hangup() {
    this._session.terminate();
  }

  // Packets of voice that have arrived.
  async heard() {
    const report = await this._session.connection.getStats();
    return [...report.values()]
      .filter(({ type }) => type === "inbound-rtp")
      .reduce((sum, { packetsReceived }) => sum + packetsReceived, 0);
  }
}

if (typeof module !== "undefined") module.exports = Softphone;
