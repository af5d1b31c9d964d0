// SPDX-License-Identifier: Apache-2.0
// node.mjs DIR: the same modules in node's engine, compiled once; a new WebAssembly.Instance for each event.
// Prints lines KEY P50 P99 in nanoseconds.
import { readFileSync } from 'node:fs';

const RUNS = 5000, WARM_UP = 2000;
const reading = new TextEncoder().encode('{"sensor":"boiler-7","fahrenheit":212.5,"time":1700000000}');

function measure(key, file, payload) {
	const module = new WebAssembly.Module(readFileSync(`${process.argv[2]}/${file}`));
	let memory, emitted;
	const imports = {
		penstock: {
			event_payload(at, cap) {
				const n = Math.min(cap, payload.length);
				new Uint8Array(memory.buffer, at, n).set(payload.subarray(0, n));
				return payload.length;
			},
			emit(topic, topic_len, at, len) {
				emitted = new Uint8Array(memory.buffer, at, len).slice();
				return 0;
			},
		},
	};
	const samples = new Float64Array(RUNS);
	for (let i = -WARM_UP; i < RUNS; i++) {
		const began = process.hrtime.bigint();
		const instance = new WebAssembly.Instance(module, imports);
		memory = instance.exports.memory;
		instance.exports._initialize?.();
		if (instance.exports.on_event() !== 0)
			throw new Error(`${file} failed`);
		if (i >= 0)
			samples[i] = Number(process.hrtime.bigint() - began);
	}
	samples.sort();
	console.log(key, samples[RUNS / 2], samples[RUNS - 1 - RUNS / 100]);
}

measure('node_instantiate', 'empty.wasm', new Uint8Array());
measure('node_json', 'json.wasm', reading);
