// Browsers start no worker from a file on the disk. There, a hidden frame runs the worker's script,
// so that the search works without a server; Material's worker asks for this class by its name.
if (location.protocol === "file:") {
  window.IFrameWorker = window.Worker = class IFrameWorker extends EventTarget {
    constructor(address) {
      super()
      this.waiting = []
      this.frame = document.createElement("iframe")
      this.frame.hidden = true
      this.frame.worker = this
      this.frame.srcdoc =
        "<script>postMessage = data => frameElement.worker.receive(data)</script>" +
        `<script src="${address}"></script>`
      this.frame.addEventListener("load", () => {
        const waiting = this.waiting
        this.waiting = null
        waiting.forEach(data => this.send(data))
      })
      document.body.append(this.frame)
    }

    postMessage(data) {
      if (this.waiting) this.waiting.push(data)
      else this.send(data)
    }

    send(data) {
      this.frame.contentWindow.dispatchEvent(new MessageEvent("message", { data }))
    }

    receive(data) {
      setTimeout(() => this.dispatchEvent(new MessageEvent("message", { data })))
    }

    terminate() {
      this.frame.remove()
    }
  }
}
