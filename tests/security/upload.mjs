// Uploads a file with tus-js-client, stops in the middle as a page that is closed does, and goes on from its URL.
//   node upload.mjs ENDPOINT TOKEN FILE   prints the upload's URL
import { createReadStream, statSync } from "node:fs";
import { createRequire } from "node:module";

const tus = createRequire(process.cwd() + "/")("tus-js-client");
const [endpoint, token, path] = process.argv.slice(2);
const size = statSync(path).size;
const shared = {
  endpoint,
  headers: { Authorization: `Bearer ${token}` },
  metadata: { filename: "käse.png", filetype: "image/png" },
  chunkSize: 300_000,
  uploadSize: size,
  retryDelays: [100, 300],
};

function upload(more) {
  return new Promise((resolve, reject) => {
    const it = new tus.Upload(createReadStream(path), {
      ...shared,
      ...more,
      onError: reject,
      onSuccess: () => resolve(it.url),
      onChunkComplete: (_size, done) => {
        if (more.stopAt && done >= more.stopAt) it.abort().then(() => resolve(it.url), reject);
      },
    });
    it.start();
  });
}

const url = await upload({ stopAt: 600_000 });
console.log(await upload({ uploadUrl: url }));
