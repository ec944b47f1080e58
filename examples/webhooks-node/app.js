// A program that receives Baluarte's webhooks and jobs, and believes only those that Baluarte signed.
//
//     WEBHOOK_SECRET=whsec_… PORT=9000 node app.js
//
// The secret is the one that was shown when the endpoint was registered (webhooks), or what `baluarte secret signing NAME`
// prints (jobs). Calls arrive at least once and in any order: recognise a repetition by its `webhook-id`, and answer quickly.

import { createServer } from "node:http";
import { Webhook } from "standardwebhooks";

const webhook = new Webhook(process.env.WEBHOOK_SECRET);
const LONGEST_BODY = 1 << 20;

// In a real app: a unique column, written in the transaction that does the work.
const done = new Set();

async function bytesOf(request) {
  const chunks = [];
  let length = 0;
  for await (const chunk of request) {
    length += chunk.length;
    if (length > LONGEST_BODY) throw new Error("too long");
    chunks.push(chunk);
  }
  // As they came: JSON that was read and written again is not what was signed.
  return Buffer.concat(chunks).toString("utf8");
}

const server = createServer(async (request, response) => {
  if (request.url !== "/webhooks") return response.writeHead(404).end();
  if (request.method === "GET") return response.end(JSON.stringify([...done].sort()));
  try {
    // Older than five minutes is refused, too.
    const event = webhook.verify(await bytesOf(request), request.headers);
    if (!done.has(request.headers["webhook-id"])) {
      done.add(request.headers["webhook-id"]);
      console.log("received", event.type);
    }
    // Any 2xx: Baluarte does not send it again. Anything else, or no answer in time: it does.
    response.writeHead(204).end();
  } catch {
    response.writeHead(401).end();
  }
});

server.listen(Number(process.env.PORT ?? 9000), "127.0.0.1");
