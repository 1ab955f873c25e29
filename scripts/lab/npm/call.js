// Sets up a call at the daemon whose NG port is the first argument and prints what the two ends were told, then ends the
// call when a line comes in. One JSON object per line: {"toCallee": SDP, "toCaller": SDP}, then {"query": ..., "deleted": ...}.
'use strict';
const { Client } = require('rtpengine-client');

const [port, callerPort, calleePort] = process.argv.slice(2).map(Number);
const at = { port, host: '127.0.0.1' };
const client = new Client({ timeout: 2000, rejectOnFailure: true });
const body = (user, rtp) => [
  'v=0', `o=${user} 1 1 IN IP4 127.0.0.1`, 's=-', 'c=IN IP4 127.0.0.1', 't=0 0', `m=audio ${rtp} RTP/AVP 0`, 'a=ptime:20', '',
].join('\r\n');
const call = { 'call-id': 'npm-call', 'from-tag': 'npm-caller' };

async function main() {
  const pong = await client.ping(at);
  if (pong.result !== 'pong') throw new Error(`ping: ${JSON.stringify(pong)}`);
  const offer = await client.offer(at, { ...call, sdp: body('caller', callerPort), replace: ['origin'], ICE: 'remove' });
  const answer = await client.answer(at, { ...call, 'to-tag': 'npm-callee', sdp: body('callee', calleePort), ICE: 'remove' });
  console.log(JSON.stringify({ toCallee: offer.sdp, toCaller: answer.sdp }));
  await new Promise((resolve) => process.stdin.once('data', resolve));
  const query = await client.query(at, call);
  const deleted = await client.delete(at, { ...call, 'delete-delay': 0 });
  console.log(JSON.stringify({ packets: query.totals.RTP.packets, deleted: deleted.result }));
}

main().then(() => process.exit(0), (err) => {
  console.error(err);
  process.exit(1);
});
