// One peer connection of the lab page, driven from the test. Each method returns what the test needs as JSON.
"use strict";

const peers = new Map();

// sound is a running audio context. Firefox without a sound device never settles resume(), yet its graph runs.
async function sound() {
  const audio = new AudioContext();
  await Promise.race([audio.resume(), new Promise((r) => setTimeout(r, 500))]);
  return audio;
}

async function tone(hz) {
  const audio = await sound();
  const osc = new OscillatorNode(audio, { frequency: hz });
  const out = audio.createMediaStreamDestination();
  osc.connect(out);
  osc.start();
  return { track: out.stream.getAudioTracks()[0], stop: () => audio.close() };
}

function picture() {
  const canvas = document.createElement("canvas");
  canvas.width = 320;
  canvas.height = 240;
  const c = canvas.getContext("2d");
  let n = 0;
  const timer = setInterval(() => {
    c.fillStyle = `hsl(${(n * 7) % 360} 80% 50%)`;
    c.fillRect(0, 0, 320, 240);
    c.fillStyle = "black";
    c.fillText(`frame ${n++}`, 20 + (n % 200), 120);
  }, 40);
  return { track: canvas.captureStream(25).getVideoTracks()[0], stop: () => clearInterval(timer) };
}

const lab = {
  // open makes a peer connection that sends a tone, and a moving picture when video is asked for. Deaf, it plays nothing:
  // to start a player takes the page longer than a call's set-up.
  async open(id, { video = false, deaf = false, config = {}, hz = 440 } = {}) {
    const pc = new RTCPeerConnection({ iceServers: [], ...config });
    const sources = [await tone(hz)];
    if (video) sources.push(picture());
    const stream = new MediaStream(sources.map((s) => s.track));
    const p = { pc, sources, stream, candidates: [], players: [], firstAudio: 0, remoteSet: 0 };
    p.hears = new Promise((resolve) => (p.heard = resolve));
    pc.onicecandidate = (e) => p.candidates.push(e.candidate ? e.candidate.toJSON() : null);
    pc.ontrack = (e) => {
      // A receiving track is muted until its first decrypted packet; statistics would tell it up to 50 ms later.
      if (e.track.kind === "audio") {
        e.track.onunmute = () => {
          p.firstAudio ||= performance.now();
          p.heard();
        };
      }
      if (deaf) return;
      const player = document.createElement(e.track.kind);
      player.autoplay = true;
      player.srcObject = new MediaStream([e.track]);
      document.body.append(player);
      p.players.push(player);
      player.play().catch(() => {});
    };
    peers.set(id, p);
    return true;
  },

  send(id) {
    const p = peers.get(id);
    for (const track of p.stream.getTracks()) p.pc.addTrack(track, p.stream);
  },

  // gathered waits until all candidates are in the local description.
  async gathered(pc) {
    while (pc.iceGatheringState !== "complete") await new Promise((r) => setTimeout(r, 10));
    return pc.localDescription.sdp;
  },

  async offer(id, { trickle = false, restart = false } = {}) {
    const p = peers.get(id);
    if (p.pc.getSenders().length === 0) this.send(id);
    p.candidates.length = 0;
    await p.pc.setLocalDescription(await p.pc.createOffer({ iceRestart: restart }));
    return trickle ? p.pc.localDescription.sdp : this.gathered(p.pc);
  },

  async answer(id, sdp, { trickle = false } = {}) {
    const p = peers.get(id);
    p.remoteSet = performance.now();
    await p.pc.setRemoteDescription({ type: "offer", sdp });
    if (p.pc.getSenders().every((s) => !s.track)) this.send(id);
    await p.pc.setLocalDescription(await p.pc.createAnswer());
    return trickle ? p.pc.localDescription.sdp : this.gathered(p.pc);
  },

  async accept(id, sdp) {
    const p = peers.get(id);
    p.remoteSet = performance.now();
    await p.pc.setRemoteDescription({ type: "answer", sdp });
    return true;
  },

  // setup is the time from setRemoteDescription to the first decrypted audio packet, which it waits for.
  async setup(id) {
    const p = peers.get(id);
    await p.hears;
    return p.firstAudio - p.remoteSet;
  },

  candidates(id) {
    return peers.get(id).candidates.splice(0);
  },

  async stats(id) {
    const p = peers.get(id);
    const out = {
      state: p.pc.connectionState, ice: p.pc.iceConnectionState,
      audioPackets: 0, audioEnergy: 0, audioLost: 0, framesDecoded: 0, videoPackets: 0, sentPackets: 0, pairLocal: "", pairRemote: "",
      dtls: "", suite: "", codecs: [], remoteReports: 0,
    };
    const all = await p.pc.getStats();
    for (const s of all.values()) {
      if (s.type === "inbound-rtp" && s.kind === "audio") {
        out.audioPackets += s.packetsReceived;
        out.audioLost += s.packetsLost;
        out.audioEnergy += s.totalAudioEnergy || 0;
      }
      if (s.type === "inbound-rtp" && s.kind === "video") {
        out.videoPackets += s.packetsReceived;
        out.framesDecoded += s.framesDecoded || 0;
      }
      if (s.type === "inbound-rtp" && s.codecId && all.get(s.codecId)) out.codecs.push(all.get(s.codecId).mimeType);
      if (s.type === "outbound-rtp") out.sentPackets += s.packetsSent;
      if (s.type === "remote-inbound-rtp") out.remoteReports++;
      if (s.type === "transport") {
        out.dtls = s.dtlsState;
        out.suite = s.srtpCipher || "";
      }
      if (s.type === "candidate-pair" && s.nominated && s.state === "succeeded") {
        const l = all.get(s.localCandidateId), r = all.get(s.remoteCandidateId);
        out.pairLocal = l ? `${l.address || l.ip}:${l.port}` : "";
        out.pairRemote = r ? `${r.address || r.ip}:${r.port}` : "";
      }
    }
    return out;
  },

  // heard measures how strong a tone is in what the audio players get, 0 to 1 of the spectrum's energy.
  async heard(id, hz) {
    const p = peers.get(id);
    const player = p.players.find((e) => e.tagName === "AUDIO");
    if (!player) return 0;
    const audio = await sound();
    const ear = new AnalyserNode(audio, { fftSize: 8192 });
    audio.createMediaStreamSource(player.srcObject).connect(ear);
    await new Promise((r) => setTimeout(r, 600));
    const bins = new Float32Array(ear.frequencyBinCount);
    ear.getFloatFrequencyData(bins);
    const power = bins.map((db) => 10 ** (db / 10));
    const width = audio.sampleRate / 8192;
    let near = 0, total = 0;
    power.forEach((v, i) => {
      total += v;
      if (Math.abs(i * width - hz) < 30) near += v;
    });
    await audio.close();
    return total > 0 ? near / total : 0;
  },

  close(id) {
    const p = peers.get(id);
    if (!p) return false;
    p.pc.close();
    for (const s of p.sources) s.stop();
    for (const e of p.players) e.remove();
    peers.delete(id);
    return true;
  },
};
