/** The files worker: fetches and keeps models, so that neither the page nor the model worker waits for a transfer. */

import "./gate_worker.js";
import { FileStore } from "./file_store.js";
import { FilesService } from "./files_service.js";

const service = new FilesService(
  {
    fetch: (url, options) => fetch(url, options),
    openStore: () => FileStore.open(),
    origin: self.location.origin,
    locks: navigator.locks,
    storage: navigator.storage,
  },
  (answer) => self.postMessage(answer),
);

self.onmessage = ({ data: { request, picked } }) => void service.take(request, picked);
