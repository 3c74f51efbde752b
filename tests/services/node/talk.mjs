// Two people with matrix-js-sdk: they log in, talk in a plain room and in an encrypted one, and exchange a file.
// PEOPLE is JSON: [{url, user, password}, ...]. The last line on stdout is JSON: what each saw.
import * as sdk from "matrix-js-sdk";
import { logger } from "matrix-js-sdk/lib/logger.js";

logger.setLevel("warn");
const SECONDS = 60;

async function until(what, true_) {
  const end = Date.now() + SECONDS * 1000;
  for (;;) {
    const found = await true_();
    if (found) return found;
    if (Date.now() > end) throw new Error(`not within ${SECONDS} s: ${what}`);
    await new Promise((done) => setTimeout(done, 100));
  }
}

async function loggedIn({ url, user, password }) {
  const login = await sdk.createClient({ baseUrl: url }).loginRequest({
    type: "m.login.password",
    identifier: { type: "m.id.user", user },
    password,
  });
  const client = sdk.createClient({
    baseUrl: url,
    userId: login.user_id,
    deviceId: login.device_id,
    accessToken: login.access_token,
  });
  await client.initRustCrypto({ useIndexedDB: false });
  const synced = new Promise((done) => client.on(sdk.ClientEvent.Sync, (state) => state === "PREPARED" && done()));
  await client.startClient({ initialSyncLimit: 10 });
  await synced;
  return client;
}

// A room that both are in.
async function room(host, guest, encrypted) {
  const algorithm = { algorithm: "m.megolm.v1.aes-sha2" };
  const state = encrypted ? [{ type: "m.room.encryption", state_key: "", content: algorithm }] : [];
  const { room_id: id } = await host.createRoom({ invite: [guest.getUserId()], initial_state: state });
  await until("an invitation", () => guest.getRoom(id)?.getMyMembership() === "invite");
  await guest.joinRoom(id);
  const joined = (client, other) => client.getRoom(id)?.getMember(other.getUserId())?.membership === "join";
  await until("both are there", () => joined(host, guest) && joined(guest, host));
  if (encrypted) {
    const knows = async (client, other) => {
      const devices = await client.getCrypto().getUserDeviceInfo([other.getUserId()], true);
      return devices.get(other.getUserId())?.has(other.getDeviceId());
    };
    await until("each knows the other's device", async () => (await knows(host, guest)) && (await knows(guest, host)));
  }
  return id;
}

// What the reader sees of what the writer says.
async function message(writer, reader, id, body) {
  const { event_id: event } = await writer.sendTextMessage(id, body);
  const seen = await until(`the message ${body}`, () => {
    const found = reader.getRoom(id)?.findEventById(event);
    return found?.getContent().body && found;
  });
  return { event, room: id, wire: seen.getWireType(), type: seen.getType(), body: seen.getContent().body };
}

const [alice, bob] = await Promise.all(JSON.parse(process.env.PEOPLE).map(loggedIn));
const told = { plain: [], encrypted: [] };
for (const kind of ["plain", "encrypted"]) {
  const id = await room(alice, bob, kind === "encrypted");
  told[kind].push(await message(alice, bob, id, `${kind} tea?`));
  told[kind].push(await message(bob, alice, id, `${kind} coffee!`));
}
const file = new Uint8Array(1000).map((_, number) => number % 251);
const { content_uri: uri } = await alice.uploadContent(new Blob([file]), { name: "a.bin", type: "text/plain" });
const fetched = await fetch(bob.mxcUrlToHttp(uri, undefined, undefined, undefined, undefined, undefined, true), {
  headers: { Authorization: `Bearer ${bob.getAccessToken()}` },
});
told.file = Buffer.from(file).equals(Buffer.from(await fetched.arrayBuffer()));
told.token = alice.getAccessToken();
console.log(`\n${JSON.stringify(told)}`);
process.exit(0);
