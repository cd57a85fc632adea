// Browsers refuse workers to a page that was opened from disk, and the search is one: it runs in a hidden frame there.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      this.waiting = [];
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      document.body.append(this.frame);
      const scope = this.frame.contentWindow;
      scope.postMessage = (data) => setTimeout(() => this.emit(this, data));
      const script = scope.document.createElement("script");
      script.src = new URL(url, location.href).href;
      script.onload = () => {
        const early = this.waiting;
        this.waiting = null;
        early.forEach((data) => this.emit(scope, data));
      };
      scope.document.head.append(script);
    }
    emit(target, data) {
      const event = new MessageEvent("message", { data });
      if (target === this) this.onmessage?.(event);
      target.dispatchEvent(event);
    }
    postMessage(data) {
      if (this.waiting) this.waiting.push(data);
      else this.emit(this.frame.contentWindow, data);
    }
    terminate() {
      this.frame.remove();
    }
  };
}
