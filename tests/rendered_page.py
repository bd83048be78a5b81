"""Pages for renders, and what a browser at work needs on this machine."""

import asyncio
import shutil

import pytest
from aiohttp import web

NEEDS_A_JAILED_BROWSER = pytest.mark.skipif(
    shutil.which("chromium") is None or shutil.which("bwrap") is None,
    reason="NOT CHECKED: chromium or bubblewrap is not installed",
)
TONE_HZ = 880
COLOR = (32, 160, 96)

COLORED = """<!doctype html><title>colored</title>
<style>body { margin: 0; background: rgb(32, 160, 96) }</style>
<canvas width=200 height=200></canvas>
<script>
  const paint = document.querySelector('canvas').getContext('2d');
  let count = 0;
  setInterval(() => {
    paint.fillStyle = count++ % 2 ? 'black' : 'white';
    paint.fillRect(0, 0, 200, 200);
  }, 50);
  const audio = new AudioContext();
  const tone = new OscillatorNode(audio, { frequency: 880 });
  tone.connect(audio.destination);
  tone.start();
</script>
"""


HOSTILE = """<!doctype html><title>hostile</title>
<script>
  const { host, port } = Object.fromEntries(new URLSearchParams(location.search));
  const there = `${host}:${port}`;
  const found = {};
  const tell = async (what, work) => {
    try {
      found[what] = String(await Promise.race([
        work(),
        new Promise((_, late) => setTimeout(() => late(new Error('late')), 6000)),
      ]));
    } catch (error) {
      found[what] = `refused: ${error}`;
    }
  };
  const blind = (url) => fetch(url, { mode: 'no-cors' }).then((answer) => `got ${answer.type}`);
  const loaded = (tag, url) => new Promise((done, failed) => {
    const element = document.createElement(tag);
    element.onload = () => done(element.contentDocument?.body?.innerText || 'loaded');
    element.onerror = () => failed(new Error('not loaded'));
    element.src = url;
    document.body.append(element);
  });
  const gathered = () => new Promise((done) => {
    const peer = new RTCPeerConnection({
      iceServers: [
        { urls: `stun:${there}` },
        { urls: `turn:${there}?transport=udp`, username: 'u', credential: 'p' },
        { urls: `turn:${there}?transport=tcp`, username: 'u', credential: 'p' },
      ],
    });
    const udp = [];
    peer.onicecandidate = ({ candidate }) => {
      if (candidate === null) done(`candidates ${udp.length}`);
      else if (/ udp /i.test(candidate.candidate)) udp.push(candidate.candidate);
    };
    peer.createDataChannel('x');
    peer.createOffer().then(async (offer) => {
      await peer.setLocalDescription(offer);
      const answer = offer.sdp.replace('actpass', 'active') +
        `a=candidate:1 1 udp 2130706431 ${host} ${port} typ host\\r\\n` +
        `a=candidate:2 1 tcp 1518280447 ${host} ${port} typ host tcptype passive\\r\\n`;
      await peer.setRemoteDescription({ type: 'answer', sdp: answer }).catch(() => 0);
      setTimeout(() => done(`candidates ${udp.length}`), 4000);
    });
  });
  addEventListener('load', async () => {
    document.body.innerHTML = '<p>hostile</p>';
    await Promise.all([
      tell('metadata', () => blind('http://169.254.169.254/latest/meta-data/')),
      tell('http', () => blind(`http://${there}/`)),
      tell('https', () => blind(`https://${there}/`)),
      tell('localhost', () => blind(`http://localhost:${port}/`)),
      tell('publisher', () => blind('http://publisher.localhost/sdk/sealroute.js')),
      tell('door', () => blind('http://127.0.0.1:3129/')),
      tell('redirect', () => blind(`/redirect?to=http://${there}/`)),
      tell('socket', () => new Promise((done, failed) => {
        const socket = new WebSocket(`ws://${there}/`);
        socket.onopen = () => done('open');
        socket.onerror = () => failed(new Error('no socket'));
      })),
      tell('transport', () => new WebTransport(`https://${there}/`).ready.then(() => 'open')),
      tell('file', () => loaded('iframe', 'file:///etc/passwd')),
      tell('image', () => loaded('img', `http://${there}/x.png`)),
      tell('webrtc', gathered),
      tell('window', async () => (open('file:///etc/passwd') ? 'open' : 'none')),
      tell('other window', async () => open(`http://${there}/`, '_blank', 'noopener') ?? 'none'),
      tell('camera', () => navigator.mediaDevices.getUserMedia({ audio: true }).then(() => 'on')),
      tell('capture', () => navigator.mediaDevices.getDisplayMedia({}).then(() => 'on')),
    ]);
    await fetch('/report', { method: 'POST', body: JSON.stringify(found) });
  });
</script>
"""


HANGS = {
    "loop": "<script>setTimeout(() => { for (;;); }, 300)</script>",
    "loop-at-once": "<script>for (;;);</script>",
    "alerts": "<script>setTimeout(() => { for (;;) alert('x'); }, 300)</script>",
    "goes-on": "<script>onload = () => location.replace(`goes-on?${Math.random()}`)</script>",
    "greedy": """<script>
      const taken = [];
      setInterval(() => taken.push(new Uint8Array(64 << 20).fill(1)), 50);
    </script>""",
    "crashes": "<script>location = 'chrome://crash'</script>",
}
"""Pages that are of no use, by what they do."""

DRAWN = """<!doctype html><title>drawn</title>
<style>body { margin: 0 } canvas { width: 100vw; height: 100vh; display: block }</style>
<canvas></canvas>
<script>
  alert('Nobody reads this.');
  const gl = document.querySelector('canvas').getContext('webgl2');
  const draw = () => {
    gl.clearColor(32 / 255, 160 / 255, 96 / 255, 1);
    gl.clear(gl.COLOR_BUFFER_BIT);
    requestAnimationFrame(draw);
  };
  draw();
</script>
"""
"""By WebGL, and after a dialog that nobody can answer."""

BEATS = """<!doctype html><title>beats</title>
<style>body { margin: 0; background: black }</style>
<script>
  const audio = new AudioContext({ latencyHint: 'interactive' });
  let next = 0;
  const beat = () => {
    // When a sample is heard is known to the page; when an image is seen is the next frame.
    const { contextTime, performanceTime } = audio.getOutputTimestamp();
    const heard = (at) => performanceTime + (at - contextTime) * 1000;
    if (!next) next = audio.currentTime + 1;
    if (next - audio.currentTime < 0.5) {
      const tone = new OscillatorNode(audio, { frequency: 1000 });
      tone.connect(audio.destination);
      tone.start(next);
      tone.stop(next + 0.1);
      const at = next;
      const light = (now) => {
        const since = now - heard(at);
        document.body.style.background = since >= 0 && since < 100 ? 'white' : 'black';
        if (since < 100) requestAnimationFrame(light);
      };
      requestAnimationFrame(light);
      next += 1;
    }
    setTimeout(beat, 50);
  };
  audio.resume().then(beat);
</script>
"""
"""Each second a flash and a beep of the same moment, as the page knows it."""


class Pages:
    """A server of pages. `asked`: the paths that browsers asked for; `found`: what pages report;
    `statuses`: of renders, as callbacks have them."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.found: dict[str, str] = {}
        self.statuses: list[str] = []
        self.pages: dict[str, str] = {
            "colored": COLORED,
            "hostile": HOSTILE,
            "drawn": DRAWN,
            "beats": BEATS,
            **HANGS,
        }
        self.app = web.Application()
        self.app.router.add_get("/redirect", self._redirect)
        self.app.router.add_get("/endless", self._endless)
        self.app.router.add_post("/report", self._report)
        self.app.router.add_post("/status", self._status)
        self.app.router.add_get("/{name:.*}", self._serve)

    async def _redirect(self, request: web.Request) -> web.Response:
        raise web.HTTPFound(request.query["to"])

    async def _endless(self, request: web.Request) -> web.StreamResponse:
        self.asked.append("endless")
        answer = web.StreamResponse(headers={"Content-Type": "text/html"})
        await answer.prepare(request)
        await asyncio.sleep(600)
        return answer

    async def _status(self, request: web.Request) -> web.Response:
        self.statuses.append((await request.json())["status"])
        return web.Response()

    async def _report(self, request: web.Request) -> web.Response:
        self.found = await request.json()
        return web.Response()

    async def _serve(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        self.asked.append(name)
        if name not in self.pages:
            return web.Response(status=404, text="no such page")
        return web.Response(text=self.pages[name], content_type="text/html")
