// The theme searches in a worker, which a browser starts for no page that was opened from disk.
// There the worker's script runs in a hidden frame of the page, and answers as the worker would.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      this.waiting = []; // messages from before the script was there
      const frame = document.createElement("iframe");
      frame.hidden = true;
      frame.srcdoc = "<!doctype html><title>search</title>";
      frame.addEventListener("load", () => this.start(frame.contentWindow, new URL(url, document.baseURI)));
      document.body.append(frame);
    }

    start(inner, url) {
      inner.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }));
      const script = inner.document.createElement("script");
      script.src = url.href;
      script.addEventListener("load", () => {
        this.postMessage = (data) => inner.dispatchEvent(new inner.MessageEvent("message", { data }));
        this.waiting.forEach((data) => this.postMessage(data));
      });
      inner.document.head.append(script);
    }

    postMessage(data) {
      this.waiting.push(data);
    }
  };
}
